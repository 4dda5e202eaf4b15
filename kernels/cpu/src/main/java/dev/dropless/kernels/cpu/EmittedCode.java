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
import java.util.List;

/**
 * Writes the micro-kernels as x86-64 machine code, one for every number of rows: all accumulators stay in registers, and what will be needed next is
 * fetched from memory meanwhile. The code for m rows does
 * <pre>
 *   for every group of m rows, for every one or two vectors of columns:
 *     c(i,j) = the vectors of row i of c, for i = 0..m-1
 *     for k = 0..depth-1:
 *       b(j) = the vectors of row k of b;  prefetch
 *       for i = 0..m-1:  x = broadcast(a(i,k));  c(i,j) = fma(x, b(j), c(i,j))
 *     store c
 * </pre>
 */
final class EmittedCode {

    /** Where element (i, k) of the left operand lies. */
    enum Left {
        /** At {@code i * ROW_STRIDE + k}: a packed block of rows. The next panel is fetched into the second-level cache. */
        ROWS,
        /** At {@code k * BLOCK + i}, and those of the next group after all terms: interleaved rows. The next rows of c are fetched into the first-level cache, to be written. */
        COLUMNS,
        /** At {@code k / PANEL * stride + i * PANEL + k % PANEL}: packed weights. The next rows of them are fetched into the second-level cache. */
        PANELS
    }

    /**
     * What every entry point takes (System V): a, b and c with offsets in elements; on the stack the number of terms, the number of groups of rows, what to fetch
     * ahead with its offset in elements, and how many bytes further with every term. Then for {@link Left#PANELS} the stride of a in bytes. For {@link Left#ROWS} terms
     * are counted in pieces, all of that number: how many bytes further to fetch besides after each of them, and how many there are.
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
            ValueLayout.ADDRESS,
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG);

    private static final Gpr A = Gpr.RDI;
    private static final Gpr A_START = Gpr.RSI;
    private static final Gpr B = Gpr.RDX;
    private static final Gpr B_START = Gpr.RCX;
    private static final Gpr C = Gpr.R8;
    private static final Gpr DEPTH = Gpr.R9;
    private static final Gpr K = Gpr.R10;
    private static final Gpr AHEAD = Gpr.R11;
    private static final Gpr AHEAD_STEP = Gpr.RAX;
    private static final Gpr GROUPS = Gpr.RBX;
    private static final Gpr A_STRIDE = Gpr.RBP;
    /** Pieces of terms of packed rows. */
    private static final Gpr PIECES = Gpr.RBP;
    /** Terms left in a piece, or in a panel of the left operand. */
    private static final Gpr INNER = Gpr.R12;
    /** From the end of a piece that is fetched ahead to the next one. */
    private static final Gpr AHEAD_JUMP = Gpr.R13;

    private static final List<Gpr> SAVED = List.of(GROUPS, A_STRIDE, INNER, AHEAD_JUMP);
    /** Of the first argument on the stack: above the return address and the saved registers. */
    private static final int STACK = (1 + 4) * Long.BYTES;

    private static final int LINE = 64;
    private static final int ROW = RegisterTile.ROW;
    /** Terms of one pass of the loop over a panel of the left operand, so that it is short enough for its end to be predicted. */
    private static final int UNROLLED = 4;
    /** How far ahead rows of c are fetched, in bytes: further than memory is away in time, few against a first-level cache. */
    private static final int C_AHEAD = 8192;

    private final Width width;
    private final Format format;
    private final VectorOp multiplyAdd;
    private final Assembler assembler;
    private final RegisterTile tile;
    /** By left operand, lines fetched ahead with every term, rows. */
    private final MemorySegment[][][] entries;
    /** For half a panel of columns, where the left operand is {@link Left#PANELS}. */
    private final MemorySegment[] halfEntries;

    /**
     * Emits and loads the kernels of one instruction set. They stay for the life of the process.
     *
     * @param format of b, which is widened in registers; a and c are floats, and a is packed rows where b is not floats
     * @throws UnsupportedOperationException if the system refuses executable memory
     */
    EmittedCode(Width width, Format format) {
        this(width, format, VectorOp.FMA, format == Format.F32 ? List.of(Left.values()) : List.of(Left.ROWS));
    }

    /** Kernels for packed rows and panels of bfloat16 pairs: every term is a pair, whose upper halves are multiplied and added first (AVX512_BF16). */
    static EmittedCode ofPairs() {
        return new EmittedCode(Width.ZMM, Format.F32, VectorOp.DOT_BF16, List.of(Left.ROWS));
    }

    private EmittedCode(Width width, Format format, VectorOp multiplyAdd, List<Left> lefts) {
        this.width = width;
        this.format = format;
        this.multiplyAdd = multiplyAdd;
        this.assembler = new Assembler(width);
        this.tile = new RegisterTile(assembler, width);
        int maxRows = maxRows();
        int[][][] offsets = new int[Left.values().length][2][maxRows + 1];
        int[] halfOffsets = new int[maxRows + 1];
        for (int rows = 1; rows <= maxRows; rows++) {
            for (Left left : lefts) {
                for (int lines = 1; lines <= 2; lines++) {
                    offsets[left.ordinal()][lines - 1][rows] = kernel(left, rows, lines, TileKernels.PANEL);
                }
            }
            halfOffsets[rows] = lefts.contains(Left.PANELS) ? kernel(Left.PANELS, rows, 1, TileKernels.PANEL / 2) : 0;
        }
        ExecutableCode code = ExecutableCode.load(assembler.toByteArray());
        this.halfEntries = new MemorySegment[maxRows + 1];
        this.entries = new MemorySegment[Left.values().length][2][maxRows + 1];
        for (int rows = 1; rows <= maxRows; rows++) {
            for (int left = 0; left < entries.length; left++) {
                for (int lines = 0; lines < 2; lines++) {
                    entries[left][lines][rows] = code.entry(offsets[left][lines][rows]);
                }
            }
            halfEntries[rows] = code.entry(halfOffsets[rows]);
        }
    }

    /** What the registers hold beside two vectors of b. */
    int maxRows() {
        return tile.maxRows();
    }

    /**
     * Entry point of a kernel for all columns of a panel.
     *
     * @param rows 1..maxRows
     * @param lines cache lines fetched ahead with every term, 1 or 2
     */
    MemorySegment entry(Left left, int rows, int lines) {
        return entries[left.ordinal()][lines - 1][rows];
    }

    /** Entry point of a kernel for the first half of the columns, with {@link Left#PANELS}. */
    MemorySegment halfEntry(int rows) {
        return halfEntries[rows];
    }

    private int kernel(Left left, int rows, int lines, int columns) {
        assembler.align(LINE);
        int entry = assembler.position();
        SAVED.forEach(assembler::push);
        assembler.loadAddress(A_START, Address.at(Gpr.RDI, Gpr.RSI, Float.BYTES, 0));
        assembler.loadAddress(B_START, Address.at(Gpr.RDX, Gpr.RCX, format.bytes(), 0));
        assembler.load(AHEAD, stack(2));
        assembler.load(AHEAD_STEP, stack(3));
        assembler.loadAddress(AHEAD, Address.at(AHEAD, AHEAD_STEP, Float.BYTES, 0));
        assembler.loadAddress(C, Address.at(Gpr.R8, Gpr.R9, Float.BYTES, 0));
        assembler.load(DEPTH, stack(0));
        assembler.load(GROUPS, stack(1));
        assembler.load(AHEAD_STEP, stack(4));
        if (left == Left.PANELS) {
            assembler.load(A_STRIDE, stack(5));
            panelStrides();
        } else if (left == Left.ROWS) {
            assembler.load(AHEAD_JUMP, stack(5));
            assembler.load(PIECES, stack(6));
        }
        int group = assembler.position();
        int vectors = tile.vectors(columns);
        int span = vectors * width.bytes();
        if (left == Left.COLUMNS) {
            assembler.loadAddress(AHEAD, Address.at(C, C_AHEAD));
        }
        for (int column = 0; column < columns * Float.BYTES; column += span) {
            columns(left, rows, vectors, column, column == 0 ? lines : 0);
        }
        if (left == Left.COLUMNS) {
            assembler.move(A_START, A);
        } else {
            assembler.add(A_START, rows * rowBytes(left));
        }
        assembler.add(C, rows * ROW);
        assembler.decrement(GROUPS);
        assembler.jumpIfNotZero(group);
        SAVED.reversed().forEach(assembler::pop);
        assembler.returnFromVectorCode();
        return entry;
    }

    /** What is added at the end of a panel: to a, and to the address that is fetched ahead, which has gone 32 steps by then. */
    private void panelStrides() {
        assembler.move(INNER, AHEAD_STEP);
        for (int steps = 1; steps < TileKernels.PANEL; steps *= 2) {
            assembler.add(INNER, INNER);
        }
        assembler.move(AHEAD_JUMP, A_STRIDE);
        assembler.subtract(AHEAD_JUMP, INNER);
        assembler.add(A_STRIDE, -ROW);
    }

    private static int rowBytes(Left left) {
        return switch (left) {
            case ROWS -> TileKernels.ROW_STRIDE * Float.BYTES;
            case COLUMNS -> Float.BYTES;
            case PANELS -> ROW;
        };
    }

    private static Address stack(int argument) {
        return Address.at(Gpr.RSP, STACK + argument * Long.BYTES);
    }

    /** Some vectors of columns, {@code column} bytes from the start of a row of the panel. */
    private void columns(Left left, int rows, int vectors, int column, int lines) {
        assembler.move(A, A_START);
        assembler.move(B, B_START);
        assembler.move(K, left == Left.ROWS ? PIECES : DEPTH);
        tile.move(VectorOp.LOAD, C, rows, vectors, column);
        int outer = assembler.position();
        switch (left) {
            case ROWS -> assembler.move(INNER, DEPTH);
            case COLUMNS -> {}
            case PANELS -> assembler.move(INNER, TileKernels.PANEL / UNROLLED);
        }
        int loop = assembler.position();
        int terms = left == Left.PANELS ? UNROLLED : 1;
        for (int k = 0; k < terms; k++) {
            term(left, rows, vectors, column, lines, k);
        }
        assembler.add(B, terms * TileKernels.PANEL * format.bytes());
        switch (left) {
            case ROWS -> {
                assembler.add(A, Float.BYTES);
                assembler.decrement(INNER);
                assembler.jumpIfNotZero(loop);
                assembler.add(AHEAD, AHEAD_JUMP);
                assembler.decrement(K);
                assembler.jumpIfNotZero(outer);
            }
            case COLUMNS -> {
                assembler.add(A, TileKernels.BLOCK * Float.BYTES);
                assembler.decrement(K);
                assembler.jumpIfNotZero(loop);
            }
            case PANELS -> {
                assembler.add(A, UNROLLED * Float.BYTES);
                assembler.decrement(INNER);
                assembler.jumpIfNotZero(loop);
                assembler.add(A, A_STRIDE);
                assembler.add(AHEAD, AHEAD_JUMP);
                assembler.add(K, -TileKernels.PANEL); // sets the zero flag as well
                assembler.jumpIfNotZero(outer);
            }
        }
        tile.move(VectorOp.STORE, C, rows, vectors, column);
    }

    /** One k, {@code ahead} of where the registers point. */
    private void term(Left left, int rows, int vectors, int column, int lines, int ahead) {
        for (int j = 0; j < vectors; j++) {
            int bytes = ((ahead * ROW + column + j * width.bytes()) / Float.BYTES) * format.bytes();
            EmittedConversions.load(assembler, format, tile.right(j), Address.at(B, bytes));
        }
        for (int line = 0; line < lines; line++) {
            Address address = Address.at(AHEAD, line * LINE);
            if (left == Left.COLUMNS) {
                assembler.prefetchForWrite(address);
            } else {
                assembler.prefetch(address);
            }
        }
        tile.multiplyAdd(multiplyAdd, rows, vectors, A, ahead * Float.BYTES, rowBytes(left));
        assembler.add(AHEAD, AHEAD_STEP);
    }
}
