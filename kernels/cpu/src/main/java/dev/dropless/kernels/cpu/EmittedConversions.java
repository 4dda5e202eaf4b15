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

    /** Bytes of a pair of bfloat16. */
    private static final int PAIR = 4;

    /** Registers of {@link #storeBf16}, set once. */
    private static final int BELOW_HALF = 29;

    private static final int LAST_BIT = 30;
    private static final int QUIET_BIT = 31;
    private static final int NAN_MASK = 1;

    private final Width width;
    private final MemorySegment pairs;
    private final MemorySegment rotation;
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
        boolean paired = width == Width.ZMM;
        int pairsAt = paired ? rows(assembler, Format.BF16.bytes(), PAIR, () -> {}, () -> pair(assembler)) : 0;
        int rotationAt = paired ? rows(assembler, Format.BF16.bytes(), PAIR, () -> {}, () -> rotate(assembler)) : 0;
        ExecutableCode code = ExecutableCode.load(assembler.toByteArray());
        this.pairs = code.entry(pairsAt);
        this.rotation = code.entry(rotationAt);
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

    /**
     * Entry point that makes a row of pairs of every two rows of a panel in bfloat16, the element of the first row in the upper half; strides count elements and
     * pairs.
     */
    MemorySegment pairs() {
        return pairs;
    }

    /** Entry point that copies blocks of 16 pairs with their halves exchanged; offsets and strides count elements of the source, pairs of the target. */
    MemorySegment rotation() {
        return rotation;
    }

    private void pair(Assembler assembler) {
        int lanes = width.bytes() / Float.BYTES;
        int row = TileKernels.PANEL * Format.BF16.bytes();
        for (int j = 0; j < TileKernels.PANEL; j += lanes) {
            load(assembler, Format.BF16, 0, Address.at(SOURCE, j * Format.BF16.bytes()));
            assembler.vector(VectorOp.WIDEN_16, 1, 0, Address.at(SOURCE, row + j * Format.BF16.bytes()));
            assembler.vector(VectorOp.OR, 0, 0, 1);
            assembler.vector(VectorOp.STORE, 0, 0, Address.at(TARGET, j * Float.BYTES));
        }
    }

    private void rotate(Assembler assembler) {
        assembler.vector(VectorOp.LOAD, 0, 0, Address.at(SOURCE, 0));
        assembler.shift(Shift.ROTATE, 0, 0, 16);
        assembler.vector(VectorOp.STORE, 0, 0, Address.at(TARGET, 0));
    }

    private int rows(Assembler assembler, Format from, Format to, int blocks) {
        Runnable constants = () -> {
            assembler.vector(VectorOp.ONES, BELOW_HALF, BELOW_HALF, BELOW_HALF);
            assembler.shift(Shift.RIGHT, LAST_BIT, BELOW_HALF, 31);
            assembler.shift(Shift.LEFT, QUIET_BIT, LAST_BIT, 22);
            assembler.shift(Shift.RIGHT, BELOW_HALF, BELOW_HALF, 17);
        };
        return rows(assembler, from.bytes(), to.bytes(), to == Format.BF16 ? constants : () -> {}, () -> {
            for (int j = 0; j < blocks * TileKernels.BLOCK; j += width.bytes() / Float.BYTES) {
                load(assembler, from, 0, Address.at(SOURCE, j * from.bytes()));
                store(assembler, to, Address.at(TARGET, j * to.bytes()));
            }
        });
    }

    private static int rows(Assembler assembler, int sourceBytes, int targetBytes, Runnable constants, Runnable row) {
        assembler.align(Width.ZMM.bytes());
        int entry = assembler.position();
        assembler.loadAddress(SOURCE, Address.at(SOURCE, SOURCE_OFFSET, sourceBytes, 0));
        assembler.loadAddress(TARGET, Address.at(TARGET, TARGET_OFFSET, targetBytes, 0));
        assembler.load(ROWS, Address.at(Gpr.RSP, Long.BYTES));
        constants.run();
        int loop = assembler.position();
        row.run();
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
