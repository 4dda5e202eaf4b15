package dev.dropless.moe.family;

/** In which orientation, and how beside each other, a checkpoint stores projections. */
public enum Storage {
    /** [out, in], as PyTorch's Linear; several parts one after the other along out. */
    OUT_IN(false, false),
    /** [in, out]; several parts one after the other along out. */
    IN_OUT(true, false),
    /** [in, out] with the columns of several parts taking turns (GPT-OSS). */
    IN_OUT_INTERLEAVED(true, true);

    final boolean inFirst;
    final boolean interleaved;

    Storage(boolean inFirst, boolean interleaved) {
        this.inFirst = inFirst;
        this.interleaved = interleaved;
    }
}
