package dev.dropless.kernels.cpu.x86;

import java.io.ByteArrayOutputStream;
import org.jspecify.annotations.Nullable;

/**
 * Encodes x86-64 instructions one after the other. It knows formats (Intel SDM volume 2, chapter 2), not what the code is for.
 *
 * <p>Vector instructions are encoded with VEX for 256-bit registers 0-15 ({@link Width#YMM}) or with EVEX for 512-bit registers 0-31
 * ({@link Width#ZMM}). Not safe for use by several threads.
 */
public final class Assembler {

    /** Length of vector registers, and with it the encoding. */
    public enum Width {
        /** 256 bits, VEX (AVX2 and FMA), 16 registers. */
        YMM(32, 16),
        /** 512 bits, EVEX (AVX-512), 32 registers. */
        ZMM(64, 32);

        private final int bytes;
        private final int registers;

        Width(int bytes, int registers) {
            this.bytes = bytes;
            this.registers = registers;
        }

        /**
         * Returns the size of a register.
         *
         * @return bytes
         */
        public int bytes() {
            return bytes;
        }

        /**
         * Returns how many registers there are.
         *
         * @return registers
         */
        public int registers() {
            return registers;
        }
    }

    private static final int DISPLACEMENT_NONE = 0;
    private static final int DISPLACEMENT_8 = 1;
    private static final int DISPLACEMENT_32 = 2;

    private final ByteArrayOutputStream code = new ByteArrayOutputStream();
    private final Width width;

    /**
     * Creates an empty code buffer.
     *
     * @param width vector length
     */
    public Assembler(Width width) {
        this.width = width;
    }

    /**
     * Returns where the next instruction begins: a target for {@link #jumpIfNotZero}.
     *
     * @return bytes from the start
     */
    public int position() {
        return code.size();
    }

    /**
     * Returns the code so far.
     *
     * @return a copy
     */
    public byte[] toByteArray() {
        return code.toByteArray();
    }

    /**
     * Fills up with one-byte int3, which is never reached, to a multiple of some length.
     *
     * @param alignment bytes
     */
    public void align(int alignment) {
        while (code.size() % alignment != 0) {
            bytes(0xCC);
        }
    }

    /**
     * A vector instruction on registers: dst = op(src1, src2), or dst = op(src2) for a unary one.
     *
     * @param op instruction
     * @param dst destination; also read by FMA and the dot products
     * @param src1 first source; must be 0 for a unary instruction
     * @param src2 second source
     */
    public void vector(VectorOp op, int dst, int src1, int src2) {
        masked(op, 0, dst, src1, src2);
    }

    /**
     * A vector instruction on the lanes that a mask register selects; the others of the destination keep what they have.
     *
     * @param op instruction
     * @param mask 1..7, or 0 for all lanes; AVX-512 only
     * @param dst destination
     * @param src1 first source; must be 0 for a unary instruction
     * @param src2 second source
     */
    public void masked(VectorOp op, int mask, int dst, int src1, int src2) {
        checkRegisters(op, dst, src1, src2);
        if (width == Width.ZMM) {
            evex(op, dst, src1, (src2 >> 3) & 1, (src2 >> 4) & 1, mask);
        } else {
            vex(op, dst, src1, src2 >> 3, 0);
        }
        bytes(0xC0 | (dst & 7) << 3 | (src2 & 7));
        bytes(op.tail());
    }

    /** Shifts of 32-bit lanes. */
    public enum Shift {
        /** vprold (AVX-512): rotates left. */
        ROTATE(1),
        /** vpsrld: right, zeros come in. */
        RIGHT(2),
        /** vpslld: left. */
        LEFT(6);

        private final int extension;

        Shift(int extension) {
            this.extension = extension;
        }
    }

    /**
     * Shifts every 32-bit lane by a constant.
     *
     * @param shift direction
     * @param dst destination
     * @param src source
     * @param bits 0..31
     */
    public void shift(Shift shift, int dst, int src, int bits) {
        checkRegisters(VectorOp.ADD_INT32, dst, dst, src);
        if (width == Width.ZMM) { // the destination is where other instructions have their first source
            bytes(
                    0x62,
                    0x91 | inverted(src >> 4) << 6 | inverted(src >> 3) << 5,
                    (~dst & 15) << 3 | 4 | 1,
                    2 << 5 | inverted(dst >> 4) << 3);
        } else {
            bytes(0xC4, 0xC1 | inverted(src >> 3) << 5, (~dst & 15) << 3 | 4 | 1);
        }
        bytes(0x72, 0xC0 | shift.extension << 3 | (src & 7), bits);
    }

    /**
     * A vector instruction with a memory operand: dst = op(src1, memory). {@link VectorOp#STORE} and {@link VectorOp#STREAM} write {@code dst} to memory.
     *
     * @param op instruction
     * @param dst destination
     * @param src1 first source; must be 0 for a unary instruction
     * @param memory second source
     */
    public void vector(VectorOp op, int dst, int src1, Address memory) {
        checkRegisters(op, dst, src1, 0);
        if (width == Width.ZMM) {
            evex(op, dst, src1, memory.base().high(), memory.indexHigh(), 0);
            address(dst, memory, width.bytes / op.fraction);
        } else {
            vex(op, dst, src1, memory.base().high(), memory.indexHigh());
            address(dst, memory, 1);
        }
        bytes(op.tail());
    }

    private void checkRegisters(VectorOp op, int dst, int src1, int src2) {
        if ((dst | src1 | src2) < 0 || Math.max(dst, Math.max(src1, src2)) >= width.registers) {
            throw new IllegalArgumentException(
                    "registers: expected below %d, found %d, %d, %d".formatted(width.registers, dst, src1, src2));
        }
        if (op.unary && src1 != 0) {
            throw new IllegalArgumentException("src1: expected 0 for unary " + op + ", found " + src1);
        }
    }

    /** EVEX prefix: 62, [R X B R' 0 m m m], [W v v v v 1 p p], [z L' L b V' a a a]; R, X, B, R', v and V' are inverted. */
    private void evex(VectorOp op, int dst, int src1, int b, int x, int mask) {
        int integerXor = op == VectorOp.XOR ? 1 : 0; // vpxord needs AVX512F only, vxorps with EVEX needs AVX512DQ
        int prefix = op.prefix | integerXor;
        int opcode = integerXor != 0 ? 0xEF : op.opcode;
        bytes(
                0x62,
                inverted(dst >> 3) << 7 | inverted(x) << 6 | inverted(b) << 5 | inverted(dst >> 4) << 4 | op.map,
                (~src1 & 15) << 3 | 4 | prefix,
                2 << 5 | inverted(src1 >> 4) << 3 | mask,
                opcode);
    }

    /** Three-byte VEX prefix: C4, [R X B m m m m m], [W v v v v L p p]; R, X, B and v are inverted. */
    private void vex(VectorOp op, int dst, int src1, int b, int x) {
        bytes(
                0xC4,
                inverted(dst >> 3) << 7 | inverted(x) << 6 | inverted(b) << 5 | op.map,
                (~src1 & 15) << 3 | 4 | op.prefix,
                op.opcode);
    }

    private static int inverted(int bit) {
        return (bit & 1) ^ 1;
    }

    /** ModRM, SIB and displacement; an 8-bit displacement counts in units of {@code scale8} bytes. */
    private void address(int reg, Address memory, int scale8) {
        int base = memory.base().low();
        int mode = displacementMode(memory, scale8);
        Gpr index = memory.index();
        if (index != null || base == Gpr.RSP.low()) {
            bytes(mode << 6 | (reg & 7) << 3 | 4);
            int scale = Integer.numberOfTrailingZeros(memory.scale());
            bytes(scale << 6 | (index == null ? 4 : index.low()) << 3 | base);
        } else {
            bytes(mode << 6 | (reg & 7) << 3 | base);
        }
        if (mode == DISPLACEMENT_8) {
            bytes(memory.displacement() / scale8 & 0xFF);
        } else if (mode == DISPLACEMENT_32) {
            int32(memory.displacement());
        }
    }

    private static int displacementMode(Address memory, int scale8) {
        int displacement = memory.displacement();
        if (displacement == 0
                && memory.base().low() != Gpr.RBP.low()) { // RBP and R13 without displacement mean something else
            return DISPLACEMENT_NONE;
        }
        int units = displacement / scale8;
        return displacement % scale8 == 0 && units >= Byte.MIN_VALUE && units <= Byte.MAX_VALUE
                ? DISPLACEMENT_8
                : DISPLACEMENT_32;
    }

    /**
     * prefetcht1: asks for a cache line in the second-level cache.
     *
     * @param memory where
     */
    public void prefetch(Address memory) {
        rexForMemory(0, null, memory, false);
        bytes(0x0F, 0x18);
        address(2, memory, 1);
    }

    /**
     * prefetchw: asks for a cache line in the first-level cache, to be written.
     *
     * @param memory where
     */
    public void prefetchForWrite(Address memory) {
        rexForMemory(0, null, memory, false);
        bytes(0x0F, 0x0D);
        address(1, memory, 1);
    }

    /**
     * add r64, imm32; sets the zero flag.
     *
     * @param register destination
     * @param value what to add
     */
    public void add(Gpr register, int value) {
        bytes(0x48 | register.high());
        if (value >= Byte.MIN_VALUE && value <= Byte.MAX_VALUE) {
            bytes(0x83, 0xC0 | register.low(), value & 0xFF);
        } else {
            bytes(0x81, 0xC0 | register.low());
            int32(value);
        }
    }

    /**
     * add r64, r64.
     *
     * @param register destination
     * @param other what to add
     */
    public void add(Gpr register, Gpr other) {
        bytes(0x48 | other.high() << 2 | register.high(), 0x01, 0xC0 | other.low() << 3 | register.low());
    }

    /**
     * sub r64, r64.
     *
     * @param register destination
     * @param other what to subtract
     */
    public void subtract(Gpr register, Gpr other) {
        bytes(0x48 | other.high() << 2 | register.high(), 0x29, 0xC0 | other.low() << 3 | register.low());
    }

    /**
     * mov r64, imm32.
     *
     * @param register destination
     * @param value sign-extended
     */
    public void move(Gpr register, int value) {
        bytes(0x48 | register.high(), 0xC7, 0xC0 | register.low());
        int32(value);
    }

    /**
     * mov r64, r64.
     *
     * @param register destination
     * @param other source
     */
    public void move(Gpr register, Gpr other) {
        bytes(0x48 | other.high() << 2 | register.high(), 0x89, 0xC0 | other.low() << 3 | register.low());
    }

    /**
     * mov r64, [memory].
     *
     * @param register destination
     * @param memory source
     */
    public void load(Gpr register, Address memory) {
        rexForMemory(8, register, memory, true);
        bytes(0x8B);
        address(register.ordinal(), memory, 1);
    }

    /**
     * mov [memory], r32: the lower half of a register.
     *
     * @param memory destination
     * @param register source
     */
    public void store32(Address memory, Gpr register) {
        rexForMemory(0, register, memory, false);
        bytes(0x89);
        address(register.ordinal(), memory, 1);
    }

    /**
     * lea r64, [memory].
     *
     * @param register destination
     * @param memory address to compute
     */
    public void loadAddress(Gpr register, Address memory) {
        rexForMemory(8, register, memory, true);
        bytes(0x8D);
        address(register.ordinal(), memory, 1);
    }

    private void rexForMemory(int w, @Nullable Gpr register, Address memory, boolean always) {
        int r = register == null ? 0 : register.high();
        int rex = w | r << 2 | memory.indexHigh() << 1 | memory.base().high();
        if (always || rex != 0) {
            bytes(0x40 | rex);
        }
    }

    /**
     * dec r64; sets the zero flag.
     *
     * @param register destination
     */
    public void decrement(Gpr register) {
        bytes(0x48 | register.high(), 0xFF, 0xC8 | register.low());
    }

    /**
     * jnz to code that was already emitted.
     *
     * @param target a {@link #position}
     */
    public void jumpIfNotZero(int target) {
        int near = target - (position() + 2);
        if (near >= Byte.MIN_VALUE) {
            bytes(0x75, near & 0xFF);
        } else {
            bytes(0x0F, 0x85);
            int32(target - (position() + 4));
        }
    }

    /**
     * push r64.
     *
     * @param register source
     */
    public void push(Gpr register) {
        if (register.high() != 0) {
            bytes(0x41);
        }
        bytes(0x50 | register.low());
    }

    /**
     * pop r64.
     *
     * @param register destination
     */
    public void pop(Gpr register) {
        if (register.high() != 0) {
            bytes(0x41);
        }
        bytes(0x58 | register.low());
    }

    /** cpuid: leaf in EAX, sub-leaf in ECX; overwrites EAX, EBX, ECX, EDX. */
    public void cpuid() {
        bytes(0x0F, 0xA2);
    }

    /** xgetbv: register number in ECX; result in EDX:EAX. */
    public void xgetbv() {
        bytes(0x0F, 0x01, 0xD0);
    }

    /** vzeroupper, then ret. */
    public void returnFromVectorCode() {
        bytes(0xC5, 0xF8, 0x77);
        ret();
    }

    /** ret. */
    public void ret() {
        bytes(0xC3);
    }

    private void int32(int value) {
        bytes(value & 0xFF, value >> 8 & 0xFF, value >> 16 & 0xFF, value >>> 24);
    }

    private void bytes(int... values) {
        for (int value : values) {
            code.write(value);
        }
    }
}
