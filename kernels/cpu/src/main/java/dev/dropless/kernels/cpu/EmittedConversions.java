package dev.dropless.kernels.cpu;

import dev.dropless.kernels.cpu.x86.Address;
import dev.dropless.kernels.cpu.x86.Assembler;
import dev.dropless.kernels.cpu.x86.Assembler.Shift;
import dev.dropless.kernels.cpu.x86.Assembler.Width;
import dev.dropless.kernels.cpu.x86.ExecutableCode;
import dev.dropless.kernels.cpu.x86.Gpr;
import dev.dropless.kernels.cpu.x86.VectorOp;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Writes the code that copies short rows between single precision and narrower formats: a widening load and a store, or a load and a narrowing store, for
 * every vector. Narrowing rounds to nearest even as {@link dev.dropless.blocksparse.ElementType} does, bit for bit, NaN and subnormals included.
 */
final class EmittedConversions {

    /** What every entry point takes (System V): source and target, each with offset in elements and stride in bytes; on the stack the number of rows. */
    static final FunctionDescriptor SIGNATURE = FunctionDescriptor.ofVoid(
            ValueLayout.ADDRESS,
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG,
            ValueLayout.ADDRESS,
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG);

    private static final Gpr SOURCE = Gpr.RDI;
    private static final Gpr SOURCE_OFFSET = Gpr.RSI;
    private static final Gpr SOURCE_STRIDE = Gpr.RDX;
    private static final Gpr TARGET = Gpr.RCX;
    private static final Gpr TARGET_OFFSET = Gpr.R8;
    private static final Gpr TARGET_STRIDE = Gpr.R9;
    private static final Gpr ROWS = Gpr.RAX;

    /** Registers of {@link #storeBf16}, set once. */
    private static final int BELOW_HALF = 29;

    private static final int LAST_BIT = 30;
    private static final int QUIET_BIT = 31;
    private static final int NAN_MASK = 1;

    private final Width width;
    private final MemorySegment[] widen = new MemorySegment[2 * Format.values().length];
    private final MemorySegment[] narrow = new MemorySegment[2 * Format.values().length];

    /**
     * Emits and loads the code. It stays for the life of the process.
     *
     * @throws UnsupportedOperationException if the system refuses executable memory
     */
    EmittedConversions(Width width) {
        this.width = width;
        Assembler assembler = new Assembler(width);
        int[] widenAt = new int[widen.length];
        int[] narrowAt = new int[narrow.length];
        for (Format format : Format.values()) {
            for (int blocks = 1; blocks <= 2; blocks++) {
                int place = place(format, blocks * TileKernels.BLOCK);
                widenAt[place] = rows(assembler, format, Format.F32, blocks);
                if (canNarrow(format)) {
                    narrowAt[place] = rows(assembler, Format.F32, format, blocks);
                }
            }
        }
        ExecutableCode code = ExecutableCode.load(assembler.toByteArray());
        for (int i = 0; i < widen.length; i++) {
            widen[i] = code.entry(widenAt[i]);
            narrow[i] = code.entry(narrowAt[i]);
        }
    }

    private static int place(Format format, int columns) {
        return 2 * format.ordinal() + columns / TileKernels.PANEL;
    }

    /** Rounding to bfloat16 takes what AVX2 lacks. */
    private boolean canNarrow(Format format) {
        return format == Format.F16 || (format == Format.BF16 && width == Width.ZMM);
    }

    /** Whether there is code for a pair of formats, one of which is F32; both of them is a plain copy. */
    boolean has(Format from, Format to) {
        return to == Format.F32 || (from == Format.F32 && canNarrow(to));
    }

    /**
     * Entry point.
     *
     * @param columns elements of a row, BLOCK or PANEL
     */
    MemorySegment entry(Format from, Format to, int columns) {
        return to == Format.F32 ? widen[place(from, columns)] : narrow[place(to, columns)];
    }

    private int rows(Assembler assembler, Format from, Format to, int blocks) {
        assembler.align(Width.ZMM.bytes());
        int entry = assembler.position();
        assembler.loadAddress(SOURCE, Address.at(SOURCE, SOURCE_OFFSET, from.bytes(), 0));
        assembler.loadAddress(TARGET, Address.at(TARGET, TARGET_OFFSET, to.bytes(), 0));
        assembler.load(ROWS, Address.at(Gpr.RSP, Long.BYTES));
        if (to == Format.BF16) {
            assembler.vector(VectorOp.ONES, BELOW_HALF, BELOW_HALF, BELOW_HALF);
            assembler.shift(Shift.RIGHT, LAST_BIT, BELOW_HALF, 31);
            assembler.shift(Shift.LEFT, QUIET_BIT, LAST_BIT, 22);
            assembler.shift(Shift.RIGHT, BELOW_HALF, BELOW_HALF, 17);
        }
        int loop = assembler.position();
        int lanes = width.bytes() / Float.BYTES;
        for (int j = 0; j < blocks * TileKernels.BLOCK; j += lanes) {
            load(assembler, from, 0, Address.at(SOURCE, j * from.bytes()));
            store(assembler, to, Address.at(TARGET, j * to.bytes()));
        }
        assembler.add(SOURCE, SOURCE_STRIDE);
        assembler.add(TARGET, TARGET_STRIDE);
        assembler.decrement(ROWS);
        assembler.jumpIfNotZero(loop);
        assembler.returnFromVectorCode();
        return entry;
    }

    /** Loads a vector of floats from memory in some format. */
    static void load(Assembler assembler, Format from, int register, Address source) {
        switch (from) {
            case F32 -> assembler.vector(VectorOp.LOAD, register, 0, source);
            case BF16 -> {
                assembler.vector(VectorOp.WIDEN_16, register, 0, source);
                assembler.shift(Shift.LEFT, register, register, 16);
            }
            case F16 -> assembler.vector(VectorOp.WIDEN_F16, register, 0, source);
            case INT8 -> {
                assembler.vector(VectorOp.WIDEN_8, register, 0, source);
                assembler.vector(VectorOp.INT32_TO_FLOAT, register, 0, register);
            }
        }
    }

    /** Stores register 0. */
    private static void store(Assembler assembler, Format to, Address target) {
        switch (to) {
            case F32 -> assembler.vector(VectorOp.STORE, 0, 0, target);
            case BF16 -> storeBf16(assembler, target);
            case F16 -> assembler.vector(VectorOp.STORE_F16, 0, 0, target);
            case INT8 -> throw new IllegalArgumentException("to: expected F32, BF16 or F16, found " + to);
        }
    }

    /** Upper halves after adding just under half a unit, and one more where the last bit kept is odd; of a NaN, the upper half, made quiet. */
    private static void storeBf16(Assembler assembler, Address target) {
        int rounded = 1;
        assembler.shift(Shift.RIGHT, rounded, 0, 16);
        assembler.vector(VectorOp.AND, rounded, rounded, LAST_BIT);
        assembler.vector(VectorOp.ADD_INT32, rounded, rounded, BELOW_HALF);
        assembler.vector(VectorOp.ADD_INT32, rounded, rounded, 0);
        assembler.vector(VectorOp.IS_NAN, NAN_MASK, 0, 0);
        assembler.masked(VectorOp.OR, NAN_MASK, rounded, 0, QUIET_BIT);
        assembler.shift(Shift.RIGHT, rounded, rounded, 16);
        assembler.vector(VectorOp.STORE_16, rounded, 0, target);
    }
}
