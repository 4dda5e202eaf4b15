package dev.dropless.kernels.cpu;

import dev.dropless.kernels.cpu.x86.Address;
import dev.dropless.kernels.cpu.x86.Assembler;
import dev.dropless.kernels.cpu.x86.Assembler.Width;
import dev.dropless.kernels.cpu.x86.ExecutableCode;
import dev.dropless.kernels.cpu.x86.Gpr;
import dev.dropless.kernels.cpu.x86.VectorOp;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/** Writes the code that copies short pieces of rows, into the caches or past them. */
final class EmittedCopies {

    /**
     * What every entry point takes (System V): source and target, each with offset in elements and stride in bytes; on the stack the number of rows and that of
     * pieces in each, and bytes from one piece to the next in the source and in the target.
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
            ValueLayout.JAVA_LONG);

    /** What {@link #fetch} takes: memory with offset in elements and stride in bytes, and the number of rows. */
    static final FunctionDescriptor FETCH_SIGNATURE = FunctionDescriptor.ofVoid(
            ValueLayout.ADDRESS, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG);

    private static final Gpr SOURCE_ROW = Gpr.RDI;
    private static final Gpr SOURCE = Gpr.RSI;
    private static final Gpr SOURCE_STRIDE = Gpr.RDX;
    private static final Gpr TARGET_ROW = Gpr.RCX;
    private static final Gpr TARGET = Gpr.R8;
    private static final Gpr TARGET_STRIDE = Gpr.R9;
    private static final Gpr ROWS = Gpr.RAX;
    private static final Gpr PIECES = Gpr.R10;
    private static final Gpr STEP = Gpr.R11;

    private final MemorySegment[] entries;

    /**
     * Emits and loads the code. It stays for the life of the process.
     *
     * @throws UnsupportedOperationException if the system refuses executable memory
     */
    EmittedCopies(Width width) {
        Assembler assembler = new Assembler(width);
        int[] offsets = {
            emit(assembler, width, TileKernels.BLOCK, VectorOp.STORE),
            emit(assembler, width, TileKernels.PANEL, VectorOp.STORE),
            emit(assembler, width, TileKernels.BLOCK, VectorOp.STREAM),
            emit(assembler, width, TileKernels.PANEL, VectorOp.STREAM),
            emitFetch(assembler)
        };
        ExecutableCode code = ExecutableCode.load(assembler.toByteArray());
        entries = Arrays.stream(offsets).mapToObj(code::entry).toArray(MemorySegment[]::new);
    }

    /**
     * Entry point.
     *
     * @param columns elements of a piece, BLOCK or PANEL
     * @param stream whether past the caches, where all pieces of the target are aligned to cache lines
     */
    MemorySegment entry(int columns, boolean stream) {
        return entries[columns / TileKernels.BLOCK - 1 + (stream ? 2 : 0)];
    }

    /** Entry point that asks for the first cache line of each row. */
    MemorySegment fetch() {
        return entries[entries.length - 1];
    }

    private static int emitFetch(Assembler assembler) {
        assembler.align(Width.ZMM.bytes());
        int entry = assembler.position();
        assembler.loadAddress(SOURCE_ROW, Address.at(Gpr.RDI, Gpr.RSI, Float.BYTES, 0));
        int row = assembler.position();
        assembler.prefetch(Address.at(SOURCE_ROW, 0));
        assembler.add(SOURCE_ROW, SOURCE_STRIDE);
        assembler.decrement(Gpr.RCX);
        assembler.jumpIfNotZero(row);
        assembler.ret();
        return entry;
    }

    private static int emit(Assembler assembler, Width width, int columns, VectorOp store) {
        assembler.align(Width.ZMM.bytes());
        int entry = assembler.position();
        assembler.loadAddress(SOURCE_ROW, Address.at(Gpr.RDI, Gpr.RSI, Float.BYTES, 0));
        assembler.loadAddress(TARGET_ROW, Address.at(Gpr.RCX, Gpr.R8, Float.BYTES, 0));
        assembler.load(ROWS, stack(0));
        int row = assembler.position();
        assembler.move(SOURCE, SOURCE_ROW);
        assembler.move(TARGET, TARGET_ROW);
        assembler.load(PIECES, stack(1));
        int piece = assembler.position();
        int vectors = columns * Float.BYTES / width.bytes();
        for (int j = 0; j < vectors; j++) {
            assembler.vector(VectorOp.LOAD, j, 0, Address.at(SOURCE, j * width.bytes()));
        }
        for (int j = 0; j < vectors; j++) {
            assembler.vector(store, j, 0, Address.at(TARGET, j * width.bytes()));
        }
        assembler.load(STEP, stack(2));
        assembler.add(SOURCE, STEP);
        assembler.load(STEP, stack(3));
        assembler.add(TARGET, STEP);
        assembler.decrement(PIECES);
        assembler.jumpIfNotZero(piece);
        assembler.add(SOURCE_ROW, SOURCE_STRIDE);
        assembler.add(TARGET_ROW, TARGET_STRIDE);
        assembler.decrement(ROWS);
        assembler.jumpIfNotZero(row);
        assembler.returnFromVectorCode();
        return entry;
    }

    private static Address stack(int argument) {
        return Address.at(Gpr.RSP, (1 + argument) * Long.BYTES);
    }
}
