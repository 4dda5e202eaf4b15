package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import java.lang.foreign.MemorySegment;

/** Copies a rectangle of an operand into the place where the kernels read it: the block of rows of the left operand, the panels of the right one. */
enum Packer {
    /** Element (i, k) to {@code scratch.rows[rowsOffset + i * ROW_STRIDE + k]}. */
    ROWS {
        @Override
        int at(int i, int k, int depth, Scratch scratch) {
            return scratch.rowsOffset + i * TileKernels.ROW_STRIDE + k;
        }

        @Override
        float[] target(Scratch scratch) {
            return scratch.rows;
        }
    },
    /** Element (i, k), i counting columns, to row k of panel i / PANEL. */
    PANELS {
        @Override
        int at(int i, int k, int depth, Scratch scratch) {
            int row = i / TileKernels.PANEL * depth + k;
            return scratch.panels.base() + row * TileKernels.PANEL + i % TileKernels.PANEL;
        }

        @Override
        float[] target(Scratch scratch) {
            return scratch.panels.array();
        }
    };

    abstract int at(int i, int k, int depth, Scratch scratch);

    abstract float[] target(Scratch scratch);

    /**
     * Copies element (i + x, k + y) from {@code index + x * stride + y} of the source, for x below ni, y below nk.
     *
     * @param data source memory and type; its shape does not matter
     * @param index source element (0, 0)
     * @param depth extent of k in the target
     */
    void alongK(Matrix data, long index, long stride, int i, int ni, int k, int nk, int depth, Scratch scratch) {
        float[] target = target(scratch);
        if (this == ROWS) {
            for (int x = 0; x < ni; x++) {
                Rows.read(data.segment(), data.type(), index + x * stride, nk, target, at(i + x, k, depth, scratch));
            }
            return;
        }
        float[] line = scratch.buffer(0, nk);
        for (int x = 0; x < ni; x++) {
            Rows.read(data.segment(), data.type(), index + x * stride, nk, line, 0);
            int start = at(i + x, k, depth, scratch);
            for (int y = 0; y < nk; y++) {
                target[start + y * TileKernels.PANEL] = line[y];
            }
        }
    }

    /** Copies element (i + x, k + y) from {@code index + y * stride + x} of the source, for x below ni, y below nk. */
    void acrossK(Matrix data, long index, long stride, int i, int ni, int k, int nk, int depth, Scratch scratch) {
        int whole = this == PANELS && i % TileKernels.PANEL == 0 && data.type() == ElementType.F32
                ? ni - ni % TileKernels.PANEL
                : 0;
        if (whole > 0) {
            int panel = TileKernels.PANEL;
            int step = depth * panel;
            MemorySegment to = scratch.panels.segment();
            int at = at(i, k, depth, scratch) - scratch.panels.base(); // the segment begins there
            scratch.kernels.copyPieces(
                    nk, whole / panel, panel, data.segment(), index, stride, panel, to, at, panel, step);
        }
        if (whole < ni) {
            copyAcrossK(data, index + whole, stride, i + whole, ni - whole, k, nk, depth, scratch);
        }
    }

    private void copyAcrossK(
            Matrix data, long index, long stride, int i, int ni, int k, int nk, int depth, Scratch scratch) {
        float[] target = target(scratch);
        float[] line = scratch.buffer(0, ni);
        for (int y = 0; y < nk; y++) {
            Rows.read(data.segment(), data.type(), index + y * stride, ni, line, 0);
            if (this == ROWS) {
                int start = at(i, k + y, depth, scratch);
                for (int x = 0; x < ni; x++) {
                    target[start + x * TileKernels.ROW_STRIDE] = line[x];
                }
            } else {
                for (int x = 0; x < ni; ) {
                    int start = at(i + x, k + y, depth, scratch);
                    int run = Math.min(TileKernels.PANEL - (i + x) % TileKernels.PANEL, ni - x);
                    System.arraycopy(line, x, target, start, run);
                    x += run;
                }
            }
        }
    }
}
