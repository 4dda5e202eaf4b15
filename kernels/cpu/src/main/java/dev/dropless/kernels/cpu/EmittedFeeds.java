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
 * Writes the micro-kernels that multiply a few packed rows with a panel and meanwhile copy rows of a matrix to the panels that come later. As in {@link EmittedCode} all sums stay in
 * registers. A copy is a few instructions among hundreds, so it takes next to no time of its own.
 */
final class EmittedFeeds {

    /**
     * What every entry point takes (System V): a, b and c with offsets in elements; on the stack source and target of the copy, each with offset in elements; bytes from one row to the
     * next in the source and from one panel to the next in the target, and from what is copied to what is fetched; the number of rows, that of panels, the terms that are multiplied
     * for every row of a panel that is copied, the terms after that, and all terms. All numbers are at least 1.
     */
    static final FunctionDescriptor SIGNATURE = FunctionDescriptor.ofVoid(
            ValueLayout.ADDRESS,
            ValueLayout.JAVA_LONG,
            ValueLayout.ADDRESS,
            ValueLayout.JAVA_LONG,
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
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG);

    private static final Gpr A = Gpr.RDI;
    private static final Gpr A_START = Gpr.RSI;
    private static final Gpr B = Gpr.RDX;
    private static final Gpr B_START = Gpr.RCX;
    private static final Gpr C = Gpr.R8;
    private static final Gpr K = Gpr.R9;
    private static final Gpr SOURCE = Gpr.RAX;
    private static final Gpr SOURCE_ROW = Gpr.R10;
    private static final Gpr SOURCE_STRIDE = Gpr.R11;
    private static final Gpr TARGET = Gpr.RBX;
    private static final Gpr TARGET_ROW = Gpr.RBP;
    private static final Gpr PANEL_STRIDE = Gpr.R12;
    private static final Gpr AHEAD = Gpr.R13;
    private static final Gpr ROWS = Gpr.R14;
    private static final Gpr PANELS = Gpr.R15;

    private static final List<Gpr> SAVED = List.of(TARGET, TARGET_ROW, PANEL_STRIDE, AHEAD, ROWS, PANELS);
    /** Of the first argument on the stack: above the return address and the saved registers. */
    private static final int STACK = (1 + 6) * Long.BYTES;

    private static final int LINE = 64;
    private static final int ROW = RegisterTile.ROW;

    private final Width width;
    private final Assembler assembler;
    private final RegisterTile tile;
    private final MemorySegment[] entries;

    /**
     * Emits and loads the kernels of one instruction set. They stay for the life of the process.
     *
     * @throws UnsupportedOperationException if the system refuses executable memory
     */
    EmittedFeeds(Width width) {
        this.width = width;
        this.assembler = new Assembler(width);
        this.tile = new RegisterTile(assembler, width);
        int maxRows = tile.maxRows();
        int[] offsets = new int[maxRows + 1];
        for (int rows = 1; rows <= maxRows; rows++) {
            offsets[rows] = kernel(rows);
        }
        ExecutableCode code = ExecutableCode.load(assembler.toByteArray());
        entries = Arrays.stream(offsets).mapToObj(code::entry).toArray(MemorySegment[]::new);
    }

    /** Entry point of a kernel for so many rows. */
    MemorySegment entry(int rows) {
        return entries[rows];
    }

    private int kernel(int rows) {
        assembler.align(LINE);
        int entry = assembler.position();
        SAVED.forEach(assembler::push);
        assembler.loadAddress(A_START, Address.at(A, A_START, Float.BYTES, 0));
        assembler.loadAddress(B_START, Address.at(B, B_START, Float.BYTES, 0));
        assembler.loadAddress(C, Address.at(C, K, Float.BYTES, 0));
        assembler.load(SOURCE_ROW, stack(0));
        assembler.load(K, stack(1));
        assembler.loadAddress(SOURCE_ROW, Address.at(SOURCE_ROW, K, Float.BYTES, 0));
        assembler.load(TARGET_ROW, stack(2));
        assembler.load(K, stack(3));
        assembler.loadAddress(TARGET_ROW, Address.at(TARGET_ROW, K, Float.BYTES, 0));
        assembler.load(SOURCE_STRIDE, stack(4));
        assembler.load(PANEL_STRIDE, stack(5));
        assembler.load(AHEAD, stack(6));
        int vectors = tile.vectors(TileKernels.PANEL);
        int span = vectors * width.bytes();
        for (int column = 0; column < ROW; column += span) {
            assembler.move(A, A_START);
            assembler.move(B, B_START);
            tile.move(VectorOp.LOAD, C, rows, vectors, column);
            if (column == 0) {
                copyAndMultiply(rows, vectors);
                assembler.load(K, stack(10));
            } else {
                assembler.load(K, stack(11));
            }
            multiply(rows, vectors, column);
            tile.move(VectorOp.STORE, C, rows, vectors, column);
        }
        SAVED.reversed().forEach(assembler::pop);
        assembler.returnFromVectorCode();
        return entry;
    }

    private static Address stack(int argument) {
        return Address.at(Gpr.RSP, STACK + argument * Long.BYTES);
    }

    /** For every row of a panel some terms. */
    private void copyAndMultiply(int rows, int vectors) {
        assembler.load(ROWS, stack(7));
        int row = assembler.position();
        assembler.move(SOURCE, SOURCE_ROW);
        assembler.move(TARGET, TARGET_ROW);
        assembler.load(PANELS, stack(8));
        int panel = assembler.position();
        copy();
        assembler.load(K, stack(9));
        multiply(rows, vectors, 0);
        assembler.decrement(PANELS);
        assembler.jumpIfNotZero(panel);
        assembler.add(SOURCE_ROW, SOURCE_STRIDE);
        assembler.add(TARGET_ROW, ROW);
        assembler.decrement(ROWS);
        assembler.jumpIfNotZero(row);
    }

    /** A row of a panel, through the registers of b and of broadcasts, which are free between two terms. */
    private void copy() {
        int vectors = ROW / width.bytes();
        int first = tile.firstBroadcast();
        for (int j = 0; j < vectors; j++) {
            assembler.vector(VectorOp.LOAD, first + j, 0, Address.at(SOURCE, j * width.bytes()));
        }
        for (int j = 0; j < vectors; j++) {
            assembler.vector(VectorOp.STORE, first + j, 0, Address.at(TARGET, j * width.bytes()));
        }
        for (int line = 0; line < ROW; line += LINE) {
            assembler.prefetch(Address.at(SOURCE, AHEAD, 1, line));
        }
        assembler.add(SOURCE, ROW);
        assembler.add(TARGET, PANEL_STRIDE);
    }

    private void multiply(int rows, int vectors, int column) {
        int rowBytes = TileKernels.ROW_STRIDE * Float.BYTES;
        tile.multiplyTerms(rows, vectors, A, Float.BYTES, rowBytes, B, column, K);
    }
}
