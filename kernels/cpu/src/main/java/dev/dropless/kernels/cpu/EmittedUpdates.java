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
import java.util.List;

/**
 * Writes the micro-kernels whose results are rows of a matrix, one for every number of rows. The left operand is a group of interleaved rows, the right one a panel. As in
 * {@link EmittedCode} all sums stay in registers; what is fetched meanwhile is the next rectangle of the matrix.
 */
final class EmittedUpdates {

    /**
     * What every entry point takes (System V): a, b and c with offsets in elements; on the stack the stride of c in bytes, how many bytes after c something is fetched, and the
     * terms: a number of pieces, the terms of each, and those after them, all at least 1. With every piece a row of a panel is fetched, then one stride further.
     */
    static final FunctionDescriptor SIGNATURE = FunctionDescriptor.ofVoid(
            ValueLayout.ADDRESS,
            ValueLayout.JAVA_LONG,
            ValueLayout.ADDRESS,
            ValueLayout.JAVA_LONG,
            ValueLayout.ADDRESS,
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG);

    private static final Gpr A = Gpr.RDI;
    private static final Gpr A_START = Gpr.RSI;
    private static final Gpr B = Gpr.RDX;
    private static final Gpr B_START = Gpr.RCX;
    private static final Gpr C = Gpr.R8;
    /** A row of c. */
    private static final Gpr C_ROW = Gpr.R9;

    private static final Gpr C_STRIDE = Gpr.RAX;
    private static final Gpr AHEAD = Gpr.R10;
    private static final Gpr PIECE = Gpr.R11;
    private static final Gpr K = Gpr.RBX;
    /** Terms of a piece. */
    private static final Gpr TERMS = Gpr.RBP;

    private static final List<Gpr> SAVED = List.of(K, TERMS);
    /** Of the first argument on the stack: above the return address and the saved registers. */
    private static final int STACK = (1 + 2) * Long.BYTES;

    private static final int LINE = 64;
    private static final int ROW = RegisterTile.ROW;

    private final Width width;
    private final Assembler assembler;
    private final RegisterTile tile;
    /** By number of rows: sums that begin with what is there, and with zero. */
    private final MemorySegment[] onto;

    private final MemorySegment[] to;

    /**
     * Emits and loads the kernels of one instruction set. They stay for the life of the process.
     *
     * @throws UnsupportedOperationException if the system refuses executable memory
     */
    EmittedUpdates(Width width) {
        this.width = width;
        this.assembler = new Assembler(width);
        this.tile = new RegisterTile(assembler, width);
        int maxRows = tile.maxRows();
        int[] ontoOffsets = new int[maxRows + 1];
        int[] toOffsets = new int[maxRows + 1];
        for (int rows = 1; rows <= maxRows; rows++) {
            ontoOffsets[rows] = kernel(rows, true);
            toOffsets[rows] = kernel(rows, false);
        }
        ExecutableCode code = ExecutableCode.load(assembler.toByteArray());
        onto = entries(code, ontoOffsets);
        to = entries(code, toOffsets);
    }

    private static MemorySegment[] entries(ExecutableCode code, int[] offsets) {
        return Arrays.stream(offsets).mapToObj(code::entry).toArray(MemorySegment[]::new);
    }

    /** Entry point. */
    MemorySegment entry(int rows, boolean accumulate) {
        return accumulate ? onto[rows] : to[rows];
    }

    private int kernel(int rows, boolean accumulate) {
        assembler.align(LINE);
        int entry = assembler.position();
        SAVED.forEach(assembler::push);
        assembler.loadAddress(A_START, Address.at(A, A_START, Float.BYTES, 0));
        assembler.loadAddress(B_START, Address.at(B, B_START, Float.BYTES, 0));
        assembler.loadAddress(C, Address.at(C, C_ROW, Float.BYTES, 0));
        assembler.load(C_STRIDE, stack(0));
        assembler.load(AHEAD, stack(1));
        assembler.add(AHEAD, C);
        assembler.load(TERMS, stack(3));
        int vectors = tile.vectors(TileKernels.PANEL);
        int span = vectors * width.bytes();
        for (int column = 0; column < ROW; column += span) {
            assembler.move(A, A_START);
            assembler.move(B, B_START);
            start(rows, vectors, column, accumulate);
            terms(rows, vectors, column, column == 0);
            moveRows(VectorOp.STORE, rows, vectors, column);
        }
        SAVED.reversed().forEach(assembler::pop);
        assembler.returnFromVectorCode();
        return entry;
    }

    private static Address stack(int argument) {
        return Address.at(Gpr.RSP, STACK + argument * Long.BYTES);
    }

    private void start(int rows, int vectors, int column, boolean accumulate) {
        if (accumulate) {
            moveRows(VectorOp.LOAD, rows, vectors, column);
            return;
        }
        for (int sum = 0; sum < rows * vectors; sum++) {
            assembler.vector(VectorOp.XOR, sum, sum, sum);
        }
    }

    private void moveRows(VectorOp op, int rows, int vectors, int column) {
        assembler.move(C_ROW, C);
        for (int i = 0; i < rows; i++) {
            tile.moveRow(op, C_ROW, i, vectors, column);
            assembler.add(C_ROW, C_STRIDE);
        }
    }

    /** All pieces of terms, then the rest. */
    private void terms(int rows, int vectors, int column, boolean fetch) {
        assembler.load(PIECE, stack(2));
        int piece = assembler.position();
        if (fetch) {
            for (int line = 0; line < ROW; line += LINE) {
                assembler.prefetchForWrite(Address.at(AHEAD, line));
            }
            assembler.add(AHEAD, C_STRIDE);
        }
        assembler.move(K, TERMS);
        loop(rows, vectors, column);
        assembler.decrement(PIECE);
        assembler.jumpIfNotZero(piece);
        assembler.load(K, stack(4));
        loop(rows, vectors, column);
    }

    private void loop(int rows, int vectors, int column) {
        tile.multiplyTerms(rows, vectors, A, TileKernels.BLOCK * Float.BYTES, Float.BYTES, B, column, K);
    }
}
