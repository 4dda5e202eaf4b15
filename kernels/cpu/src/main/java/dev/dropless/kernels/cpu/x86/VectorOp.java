package dev.dropless.kernels.cpu.x86;

/**
 * Vector instructions, by their fields in the Intel SDM (volume 2, "Instruction Set Reference").
 *
 * <p>An instruction with a memory operand reads or writes a whole vector unless it says otherwise; that decides how EVEX scales an 8-bit displacement.
 */
public enum VectorOp {
    /** vmovups: load. */
    LOAD(1, 0, 0x10, Form.UNARY),
    /** vmovups: store. */
    STORE(1, 0, 0x11, Form.UNARY),
    /** vmovntps: store past the caches, to an aligned address. */
    STREAM(1, 0, 0x2B, Form.UNARY),
    /** vbroadcastss: one float from memory into all lanes. */
    BROADCAST(2, 1, 0x18, Form.UNARY, 16),
    /** vaddps. */
    ADD(1, 0, 0x58, Form.BINARY),
    /** vsubps. */
    SUB(1, 0, 0x5C, Form.BINARY),
    /** vdivps. */
    DIV(1, 0, 0x5E, Form.BINARY),
    /** vminps: src1 where it is less than src2, else src2, also where either is NaN. */
    MIN(1, 0, 0x5D, Form.BINARY),
    /** vmaxps: src1 where it is greater than src2, else src2, also where either is NaN. */
    MAX(1, 0, 0x5F, Form.BINARY),
    /** vmulps. */
    MUL(1, 0, 0x59, Form.BINARY),
    /** vxorps (AVX) or vpxord (AVX-512): clears a register when both sources are the same. */
    XOR(1, 0, 0x57, Form.BINARY),
    /** vfmadd231ps: dst += src1 * src2, rounded once. */
    FMA(2, 1, 0xB8, Form.BINARY),
    /** vfmadd213ps: dst = src1 * dst + src2, rounded once. */
    FMA_ONTO(2, 1, 0xA8, Form.BINARY),
    /** vscalefps (AVX-512): src1 times two to the power of src2, rounded once. */
    SCALE(2, 1, 0x2C, Form.BINARY),
    /** vdpbf16ps (AVX512_BF16): dst += the product of the odd elements of bfloat16 pairs, then that of the even ones; subnormals count as zero. */
    DOT_BF16(2, 2, 0x52, Form.BINARY),
    /** vpdpbusd (AVX512_VNNI): dst += the sum of four products of unsigned and signed bytes. */
    DOT_INT8(2, 1, 0x50, Form.BINARY),
    /** vpermt2ps (AVX-512): lane l of dst becomes lane src1[l] of the table made of dst and src2. */
    PERMUTE(2, 1, 0x7F, Form.BINARY),
    /** vpaddd: 32-bit integer addition. */
    ADD_INT32(1, 1, 0xFE, Form.BINARY),
    /** vpandd (AVX-512). */
    AND(1, 1, 0xDB, Form.BINARY),
    /** vpord (AVX-512). */
    OR(1, 1, 0xEB, Form.BINARY),
    /** vpternlogd (AVX-512) with a table of ones: sets every bit. */
    ONES(3, 1, 0x25, Form.BINARY, 1, 0xFF),
    /** vcmpps (AVX-512) for "unordered": dst is a mask register, set where either source is NaN. */
    IS_NAN(1, 0, 0xC2, Form.BINARY, 1, 3),
    /** vcmpps (AVX-512) for "equal": dst is a mask register. */
    IS_EQUAL(1, 0, 0xC2, Form.BINARY, 1, 0),
    /** vcmpps (AVX-512) for "at least", not NaN: dst is a mask register, set where src1 is at least src2. */
    IS_AT_LEAST(1, 0, 0xC2, Form.BINARY, 1, 0x1D),
    /** vcmpps (AVX-512) for "greater", not NaN: dst is a mask register, set where src1 is greater than src2. */
    IS_GREATER(1, 0, 0xC2, Form.BINARY, 1, 0x1E),
    /** valignd (AVX-512) of a register and itself: lane i of dst becomes lane i + 8 of the sources, which are the same. */
    ROTATE_LANES_8(3, 1, 0x03, Form.BINARY, 1, 8),
    /** The same by 4 lanes. */
    ROTATE_LANES_4(3, 1, 0x03, Form.BINARY, 1, 4),
    /** The same by 2 lanes. */
    ROTATE_LANES_2(3, 1, 0x03, Form.BINARY, 1, 2),
    /** The same by one lane. */
    ROTATE_LANES_1(3, 1, 0x03, Form.BINARY, 1, 1),
    /** vmovss (AVX-512 encoding): stores the first lane. */
    STORE_LANE(1, 2, 0x11, Form.UNARY, 16),
    /** vpmovzxwd: 16-bit words, half a vector, to 32 bits. */
    WIDEN_16(2, 1, 0x33, Form.UNARY, 2),
    /** vpmovsxbd: signed bytes, a quarter of a vector, to 32 bits. */
    WIDEN_8(2, 1, 0x21, Form.UNARY, 4),
    /** vpmovdw (AVX-512): stores the lower halves of 32-bit words, half a vector. */
    STORE_16(2, 2, 0x33, Form.UNARY, 2),
    /** vcvtdq2ps: 32-bit integers to floats. */
    INT32_TO_FLOAT(1, 0, 0x5B, Form.UNARY),
    /** vcvtph2ps: binary16, half a vector, to floats. */
    WIDEN_F16(2, 1, 0x13, Form.UNARY, 2),
    /** vcvtps2ph: stores floats as binary16, half a vector, rounded to nearest even. */
    STORE_F16(3, 1, 0x1D, Form.UNARY, 2, 0);

    /** Operands. */
    private enum Form {
        UNARY,
        BINARY
    }

    private static final int NO_IMMEDIATE = -1;

    final int map;
    final int prefix;
    final int opcode;
    final boolean unary;
    /** Which fraction of a vector is in memory. */
    final int fraction;
    /** Constant byte at the end, or {@link #NO_IMMEDIATE}. */
    private final int immediate;

    VectorOp(int map, int prefix, int opcode, Form form) {
        this(map, prefix, opcode, form, 1);
    }

    VectorOp(int map, int prefix, int opcode, Form form, int fraction) {
        this(map, prefix, opcode, form, fraction, NO_IMMEDIATE);
    }

    VectorOp(int map, int prefix, int opcode, Form form, int fraction, int immediate) {
        this.map = map;
        this.prefix = prefix;
        this.opcode = opcode;
        this.unary = form == Form.UNARY;
        this.fraction = fraction;
        this.immediate = immediate;
    }

    /** What follows the operands. */
    int[] tail() {
        return immediate == NO_IMMEDIATE ? new int[0] : new int[] {immediate};
    }
}
