package dev.dropless.kernels.cpu.x86;

/** General-purpose 64-bit registers, in encoding order. */
public enum Gpr {
    /** Accumulator; return value. */
    RAX,
    /** Fourth argument (System V). */
    RCX,
    /** Third argument (System V). */
    RDX,
    /** Preserved across calls. */
    RBX,
    /** Stack pointer. */
    RSP,
    /** Preserved across calls. */
    RBP,
    /** Second argument (System V). */
    RSI,
    /** First argument (System V). */
    RDI,
    /** Fifth argument (System V). */
    R8,
    /** Sixth argument (System V). */
    R9,
    /** Scratch. */
    R10,
    /** Scratch. */
    R11,
    /** Preserved across calls. */
    R12,
    /** Preserved across calls. */
    R13,
    /** Preserved across calls. */
    R14,
    /** Preserved across calls. */
    R15;

    int low() {
        return ordinal() & 7;
    }

    int high() {
        return ordinal() >> 3;
    }
}
