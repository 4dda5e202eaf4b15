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

/**
 * Writes the micro-kernels as x86-64 machine code, one for every number of rows: all accumulators stay in registers, and while a panel is multiplied the
 * next one is fetched into the second-level cache. The code for m rows does
 * <pre>
 *   for every group of m rows, for every two vectors of columns:
 *     c(i,j) = two vectors of row i of c, for i = 0..m-1
 *     for k = 0..depth-1:
 *       b(j) = two vectors of row k of b;  prefetch
 *       for i = 0..m-1:  x = broadcast(a[i * ROW_STRIDE + k]);  c(i,j) = fma(x, b(j), c(i,j))
 *     store c
 * </pre>
 */
final class EmittedCode {

    /**
     * What every entry point takes (System V): a, b and c with offsets in elements; on the stack the number of terms, the number of groups of rows, what to fetch
     * ahead with its offset in elements, and how many bytes further with every term.
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
    /** Of the first argument on the stack: above the return address and the saved register. */
    private static final int STACK = 2 * Long.BYTES;

    private static final int LINE = 64;
    private static final int VECTORS = 2;
    /** Two take turns, so that a broadcast need not wait for the products with the one before. */
    private static final int BROADCASTS = 2;

    private final Width width;
    private final Format format;
    private final Assembler assembler;
    private final MemorySegment[][] entries;

    /**
     * Emits and loads the kernels of one instruction set. They stay for the life of the process.
     *
     * @param format of b, which is widened in registers; a and c are floats
     * @throws UnsupportedOperationException if the system refuses executable memory
     */
    EmittedCode(Width width, Format format) {
        this.width = width;
        this.format = format;
        this.assembler = new Assembler(width);
        int maxRows = maxRows();
        int[][] offsets = new int[2][maxRows + 1];
        for (int lines = 1; lines <= 2; lines++) {
            for (int rows = 1; rows <= maxRows; rows++) {
                assembler.align(LINE);
                offsets[lines - 1][rows] = assembler.position();
                kernel(rows, lines);
            }
        }
        ExecutableCode code = ExecutableCode.load(assembler.toByteArray());
        this.entries = new MemorySegment[2][maxRows + 1];
        for (int lines = 0; lines < 2; lines++) {
            for (int rows = 1; rows <= maxRows; rows++) {
                entries[lines][rows] = code.entry(offsets[lines][rows]);
            }
        }
    }

    /** What the registers hold beside two vectors of b. */
    int maxRows() {
        return (width.registers() - VECTORS - BROADCASTS) / VECTORS;
    }

    /**
     * Entry point of a kernel.
     *
     * @param rows 1..maxRows
     * @param lines cache lines fetched ahead with every term, 1 or 2
     */
    MemorySegment entry(int rows, int lines) {
        return entries[lines - 1][rows];
    }

    private void kernel(int rows, int lines) {
        assembler.push(GROUPS);
        assembler.loadAddress(A_START, Address.at(Gpr.RDI, Gpr.RSI, Float.BYTES, 0));
        assembler.loadAddress(B_START, Address.at(Gpr.RDX, Gpr.RCX, format.bytes(), 0));
        assembler.load(AHEAD, stack(2));
        assembler.load(AHEAD_STEP, stack(3));
        assembler.loadAddress(AHEAD, Address.at(AHEAD, AHEAD_STEP, Float.BYTES, 0));
        assembler.loadAddress(C, Address.at(Gpr.R8, Gpr.R9, Float.BYTES, 0));
        assembler.load(DEPTH, stack(0));
        assembler.load(GROUPS, stack(1));
        assembler.load(AHEAD_STEP, stack(4));
        int group = assembler.position();
        int span = VECTORS * width.bytes();
        for (int column = 0; column < TileKernels.PANEL * Float.BYTES; column += span) {
            columns(rows, column, column == 0 ? lines : 0);
        }
        assembler.add(A_START, rows * TileKernels.ROW_STRIDE * Float.BYTES);
        assembler.add(C, rows * TileKernels.PANEL * Float.BYTES);
        assembler.decrement(GROUPS);
        assembler.jumpIfNotZero(group);
        assembler.pop(GROUPS);
        assembler.returnFromVectorCode();
    }

    private static Address stack(int argument) {
        return Address.at(Gpr.RSP, STACK + argument * Long.BYTES);
    }

    /** Two vectors of columns, {@code column} bytes from the start of a row of the panel. */
    private void columns(int rows, int column, int lines) {
        int firstB = width.registers() - VECTORS;
        int firstBroadcast = firstB - BROADCASTS;
        assembler.move(A, A_START);
        assembler.move(B, B_START);
        assembler.move(K, DEPTH);
        moveTile(VectorOp.LOAD, rows, column);
        int loop = assembler.position();
        for (int j = 0; j < VECTORS; j++) {
            int bytes = (column + j * width.bytes()) / Float.BYTES * format.bytes();
            EmittedConversions.load(assembler, format, firstB + j, Address.at(B, bytes));
        }
        for (int line = 0; line < lines; line++) {
            assembler.prefetch(Address.at(AHEAD, line * LINE));
        }
        for (int i = 0; i < rows; i++) {
            int broadcast = firstBroadcast + i % BROADCASTS;
            assembler.vector(VectorOp.BROADCAST, broadcast, 0, Address.at(A, i * TileKernels.ROW_STRIDE * Float.BYTES));
            for (int j = 0; j < VECTORS; j++) {
                assembler.vector(VectorOp.FMA, i * VECTORS + j, broadcast, firstB + j);
            }
        }
        assembler.add(A, Float.BYTES);
        assembler.add(B, TileKernels.PANEL * format.bytes());
        assembler.add(AHEAD, AHEAD_STEP);
        assembler.decrement(K);
        assembler.jumpIfNotZero(loop);
        moveTile(VectorOp.STORE, rows, column);
    }

    private void moveTile(VectorOp op, int rows, int column) {
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < VECTORS; j++) {
                int displacement = i * TileKernels.PANEL * Float.BYTES + column + j * width.bytes();
                assembler.vector(op, i * VECTORS + j, 0, Address.at(C, displacement));
            }
        }
    }
}
