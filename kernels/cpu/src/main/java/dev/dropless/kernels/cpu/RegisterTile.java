package dev.dropless.kernels.cpu;

import dev.dropless.kernels.cpu.x86.Address;
import dev.dropless.kernels.cpu.x86.Assembler;
import dev.dropless.kernels.cpu.x86.Assembler.Width;
import dev.dropless.kernels.cpu.x86.Gpr;
import dev.dropless.kernels.cpu.x86.VectorOp;

/**
 * What emitted micro-kernels have in vector registers: the sums of some rows and up to {@link #VECTORS} vectors of columns, then two numbers of the left operand, then the vectors of
 * the right one. Writes the instructions that fill, use and empty them.
 */
record RegisterTile(Assembler assembler, Width width) {

    /** Bytes of a row of a packed panel, and of a tile of results. */
    static final int ROW = TileKernels.PANEL * Float.BYTES;
    /** Vectors of columns computed at once. */
    static final int VECTORS = 2;
    /** Two take turns, so that a broadcast need not wait for the products with the one before. */
    private static final int BROADCASTS = 2;

    /** Rows whose sums fit beside the rest. */
    int maxRows() {
        return firstBroadcast() / VECTORS;
    }

    /** First of the registers that hold no sums: free from one term to the next. */
    int firstBroadcast() {
        return right(0) - BROADCASTS;
    }

    /** A vector of the right operand. */
    int right(int vector) {
        return width.registers() - VECTORS + vector;
    }

    /** Vectors of columns of a panel, or of a part of it, computed at once. */
    int vectors(int columns) {
        return Math.min(VECTORS, columns * Float.BYTES / width.bytes());
    }

    /** Loads or stores the sums; rows lie {@link #ROW} apart from {@code base + column} bytes on. */
    void move(VectorOp op, Gpr base, int rows, int vectors, int column) {
        for (int i = 0; i < rows; i++) {
            moveRow(op, base, i, vectors, i * ROW + column);
        }
    }

    /** Loads or stores the sums of a row. */
    void moveRow(VectorOp op, Gpr base, int row, int vectors, int displacement) {
        for (int j = 0; j < vectors; j++) {
            assembler.vector(op, row * vectors + j, 0, Address.at(base, displacement + j * width.bytes()));
        }
    }

    /** Adds a term to all sums: the numbers of the left operand, {@code rowBytes} apart, times the vectors of the right one. */
    void multiplyAdd(VectorOp op, int rows, int vectors, Gpr left, int displacement, int rowBytes) {
        for (int i = 0; i < rows; i++) {
            int broadcast = firstBroadcast() + i % BROADCASTS;
            assembler.vector(VectorOp.BROADCAST, broadcast, 0, Address.at(left, displacement + i * rowBytes));
            for (int j = 0; j < vectors; j++) {
                assembler.vector(op, i * vectors + j, broadcast, right(j));
            }
        }
    }

    /**
     * A loop over terms, of which {@code count} holds the number; afterwards both operands point to the term that follows.
     *
     * @param termBytes from one term to the next in the left operand
     * @param rowBytes from one row to the next
     * @param right a panel of floats
     * @param column bytes from the beginning of its rows
     */
    void multiplyTerms(int rows, int vectors, Gpr left, int termBytes, int rowBytes, Gpr right, int column, Gpr count) {
        int loop = assembler.position();
        for (int j = 0; j < vectors; j++) {
            assembler.vector(VectorOp.LOAD, right(j), 0, Address.at(right, column + j * width.bytes()));
        }
        multiplyAdd(VectorOp.FMA, rows, vectors, left, 0, rowBytes);
        assembler.add(left, termBytes);
        assembler.add(right, ROW);
        assembler.decrement(count);
        assembler.jumpIfNotZero(loop);
    }
}
