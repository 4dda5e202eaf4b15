package dev.dropless.kernels.cpu.x86;

/**
 * Vector instructions, by their fields in the Intel SDM (volume 2, "Instruction Set Reference").
 *
 * <p>An instruction with a memory operand reads a whole vector, except {@link #BROADCAST}, which reads one element; that decides how EVEX scales an
 * 8-bit displacement.
 */
public enum VectorOp {
    /** vmovups: load. */
    LOAD(1, 0, 0x10, true, false),
    /** vmovups: store. */
    STORE(1, 0, 0x11, true, false),
    /** vmovntps: store past the caches, to an aligned address. */
    STREAM(1, 0, 0x2B, true, false),
    /** vbroadcastss: one float from memory into all lanes. */
    BROADCAST(2, 1, 0x18, true, true),
    /** vaddps. */
    ADD(1, 0, 0x58, false, false),
    /** vmulps. */
    MUL(1, 0, 0x59, false, false),
    /** vxorps (AVX) or vpxord (AVX-512): clears a register when both sources are the same. */
    XOR(1, 0, 0x57, false, false),
    /** vfmadd231ps: dst += src1 * src2, rounded once. */
    FMA(2, 1, 0xB8, false, false),
    /** vdpbf16ps (AVX512_BF16): dst += the sum of two products of bfloat16 pairs. */
    DOT_BF16(2, 2, 0x52, false, false),
    /** vpdpbusd (AVX512_VNNI): dst += the sum of four products of unsigned and signed bytes. */
    DOT_INT8(2, 1, 0x50, false, false),
    /** vpermt2ps (AVX-512): lane l of dst becomes lane src1[l] of the table made of dst and src2. */
    PERMUTE(2, 1, 0x7F, false, false),
    /** vpaddd: 32-bit integer addition. */
    ADD_INT32(1, 1, 0xFE, false, false);

    final int map;
    final int prefix;
    final int opcode;
    final boolean unary;
    final boolean element;

    VectorOp(int map, int prefix, int opcode, boolean unary, boolean element) {
        this.map = map;
        this.prefix = prefix;
        this.opcode = opcode;
        this.unary = unary;
        this.element = element;
    }
}
