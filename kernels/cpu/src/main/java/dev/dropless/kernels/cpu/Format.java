package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.ElementType;

/** How packed weights and operands are stored. Products are computed in single precision, whatever they are stored in. */
enum Format {
    /** binary32. */
    F32(4),
    /** bfloat16. */
    BF16(2),
    /** binary16. */
    F16(2),
    /** Whole numbers of 8 bits; what they count in is kept beside them. */
    INT8(1);

    private final int bytes;

    Format(int bytes) {
        this.bytes = bytes;
    }

    /** Bytes of an element. */
    int bytes() {
        return bytes;
    }

    /**
     * The format of a type.
     *
     * @throws IllegalArgumentException if this back end does not keep weights as that type
     */
    static Format of(ElementType type) {
        return switch (type) {
            case F32 -> F32;
            case BF16 -> BF16;
            case F16 -> F16;
            case F64 -> throw new IllegalArgumentException("type: expected F32, BF16 or F16, found " + type);
        };
    }

    /** Whether a matrix of some type lies in memory as this format. */
    boolean is(ElementType type) {
        return name().equals(type.name());
    }

    /** The type of matrices that lie in memory like this. */
    ElementType type() {
        return switch (this) {
            case F32 -> ElementType.F32;
            case BF16 -> ElementType.BF16;
            case F16 -> ElementType.F16;
            case INT8 -> throw new IllegalStateException("no matrix has elements of 8 bits");
        };
    }
}
