package dev.dropless.kernels.cpu;

import dev.dropless.kernels.cpu.x86.Address;
import dev.dropless.kernels.cpu.x86.Assembler;
import dev.dropless.kernels.cpu.x86.Assembler.Width;
import dev.dropless.kernels.cpu.x86.ExecutableCode;
import dev.dropless.kernels.cpu.x86.Gpr;
import dev.dropless.kernels.cpu.x86.VectorOp;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Writes the code that transposes a sequence of 16 x 16 blocks in registers (AVX-512): for d = 8, 4, 2, 1 the rows i and i + d exchange the off-diagonal
 * quarters of their 2d x 2d blocks.
 */
final class EmittedTranspose {

    /**
     * What the entry point takes (System V): source with offset in elements and row stride in bytes, target likewise; on the stack bytes from one block to the
     * next in the source and in the target, the number of blocks, and {@link #table}.
     */
    static final FunctionDescriptor SIGNATURE = FunctionDescriptor.ofVoid(
            ValueLayout.ADDRESS,
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG,
            ValueLayout.ADDRESS,
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG,
            ValueLayout.ADDRESS);

    private static final int SIZE = TileKernels.BLOCK;
    private static final int STAGES = 4;
    /** Lanes of the upper and the lower row of a pair after each stage. */
    private static final int FIRST_INDEX = 32 - 2 * STAGES;

    /** Fetched into the cache with every row: for transposed weights it is read when the next panel is made. */
    private static final int AHEAD = TileKernels.PANEL * TileKernels.PANEL * Float.BYTES;

    private static final Gpr SOURCE = Gpr.RDI;
    private static final Gpr SOURCE_ROW = Gpr.RSI;
    private static final Gpr SOURCE_STRIDE = Gpr.RDX;
    private static final Gpr TARGET = Gpr.RCX;
    private static final Gpr TARGET_ROW = Gpr.R8;
    private static final Gpr TARGET_STRIDE = Gpr.R9;
    private static final Gpr SOURCE_STEP = Gpr.R10;
    private static final Gpr TARGET_STEP = Gpr.R11;
    private static final Gpr BLOCKS = Gpr.RAX;

    private final MemorySegment entry;
    private final MemorySegment table;

    /**
     * Emits and loads the code. It stays for the life of the process.
     *
     * @throws UnsupportedOperationException if the system refuses executable memory
     */
    EmittedTranspose() {
        Assembler assembler = new Assembler(Width.ZMM);
        emit(assembler);
        entry = ExecutableCode.load(assembler.toByteArray()).entry(0);
        table = Arena.global().allocate(2L * STAGES * Width.ZMM.bytes(), Width.ZMM.bytes());
        for (int stage = 0; stage < STAGES; stage++) {
            int d = SIZE / 2 >> stage;
            for (int lane = 0; lane < SIZE; lane++) {
                boolean own = (lane & d) == 0;
                table.setAtIndex(ValueLayout.JAVA_INT, 2 * stage * SIZE + lane, own ? lane : SIZE + lane - d);
                table.setAtIndex(ValueLayout.JAVA_INT, (2 * stage + 1) * SIZE + lane, own ? lane + d : SIZE + lane);
            }
        }
    }

    MemorySegment entry() {
        return entry;
    }

    /** Lane numbers for the permutations. */
    MemorySegment table() {
        return table;
    }

    private static void emit(Assembler assembler) {
        assembler.loadAddress(SOURCE, Address.at(SOURCE, Gpr.RSI, Float.BYTES, 0));
        assembler.loadAddress(TARGET, Address.at(TARGET, Gpr.R8, Float.BYTES, 0));
        assembler.load(Gpr.RAX, stack(3));
        for (int i = 0; i < 2 * STAGES; i++) {
            assembler.vector(VectorOp.LOAD, FIRST_INDEX + i, 0, Address.at(Gpr.RAX, i * Width.ZMM.bytes()));
        }
        assembler.load(SOURCE_STEP, stack(0));
        assembler.load(TARGET_STEP, stack(1));
        assembler.load(BLOCKS, stack(2));
        int loop = assembler.position();
        assembler.move(SOURCE_ROW, SOURCE);
        for (int i = 0; i < SIZE; i++) {
            assembler.vector(VectorOp.LOAD, i, 0, Address.at(SOURCE_ROW, 0));
            assembler.prefetch(Address.at(SOURCE_ROW, AHEAD));
            assembler.add(SOURCE_ROW, SOURCE_STRIDE);
        }
        int[] row = exchange(assembler);
        assembler.move(TARGET_ROW, TARGET);
        for (int i = 0; i < SIZE; i++) {
            assembler.vector(VectorOp.STORE, row[i], 0, Address.at(TARGET_ROW, 0));
            assembler.add(TARGET_ROW, TARGET_STRIDE);
        }
        assembler.add(SOURCE, SOURCE_STEP);
        assembler.add(TARGET, TARGET_STEP);
        assembler.decrement(BLOCKS);
        assembler.jumpIfNotZero(loop);
        assembler.returnFromVectorCode();
    }

    private static Address stack(int argument) {
        return Address.at(Gpr.RSP, (1 + argument) * Long.BYTES);
    }

    /** All stages; a permutation overwrites its first table, so the lower row of a pair moves to the spare register. Returns where the rows are. */
    private static int[] exchange(Assembler assembler) {
        int[] row = new int[SIZE];
        for (int i = 0; i < SIZE; i++) {
            row[i] = i;
        }
        int spare = SIZE;
        for (int stage = 0; stage < STAGES; stage++) {
            int d = SIZE / 2 >> stage;
            int upper = FIRST_INDEX + 2 * stage;
            for (int i = 0; i < SIZE; i++) {
                if ((i & d) == 0) {
                    assembler.vector(VectorOp.LOAD, spare, 0, row[i]);
                    assembler.vector(VectorOp.PERMUTE, row[i], upper, row[i + d]);
                    assembler.vector(VectorOp.PERMUTE, spare, upper + 1, row[i + d]);
                    int free = row[i + d];
                    row[i + d] = spare;
                    spare = free;
                }
            }
        }
        return row;
    }
}
