package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Matrix;
import java.util.Arrays;

/** Copies rectangles of an operand into the place where the kernels read it: the block of rows of the left operand, the panels of the right one. */
final class Packer {

    private static final int BLOCK = TileKernels.BLOCK;
    private static final int PANEL = TileKernels.PANEL;
    /** Terms that are transposed at a time: a block of so many is short enough for the first-level cache. */
    private static final int TRANSPOSED_TERMS = 256;

    private Storage target = Nothing.STORAGE;
    private int offset;
    /** Elements from one i to the next, within a panel. */
    private int strideI;
    /** Elements from one k to the next. */
    private int strideK;
    /** Elements from one panel to the next, or 0 where the target is no panels. */
    private int panelStride;

    private int firstI;
    private int firstK;

    /** Element (i, k) goes to {@code start + (i - firstI) * ROW_STRIDE + k - firstK}. */
    Packer rows(Storage to, int start, int i, int k) {
        return set(to, start, TileKernels.ROW_STRIDE, 1, 0, i, k);
    }

    /** Element (i, k) goes to {@code (k - firstK) * length + i - firstI}. */
    Packer lines(Storage to, int length, int i, int k) {
        return set(to, 0, 1, length, 0, i, k);
    }

    /** Element (i, k), i counting columns, goes to row k - firstK of panel (i - firstI) / PANEL of so many rows. */
    Packer panels(Storage to, int start, int depth, int i, int k) {
        return set(to, start, 1, PANEL, depth * PANEL, i, k);
    }

    private Packer set(Storage to, int start, int ofI, int ofK, int ofPanel, int i, int k) {
        target = to;
        offset = start;
        strideI = ofI;
        strideK = ofK;
        panelStride = ofPanel;
        firstI = i;
        firstK = k;
        return this;
    }

    /** Place of an element in the target's storage. */
    private int at(int i, int k) {
        int x = i - firstI;
        int at = offset + (k - firstK) * strideK;
        return panelStride > 0 ? at + x / PANEL * panelStride + x % PANEL : at + x * strideI;
    }

    /** How far element i lies from the beginning of a panel. */
    private int inPanel(int i) {
        return (i - firstI) % PANEL;
    }

    /**
     * Copies element (i + x, k + y) from {@code index + x * stride + y} of the source, for x below ni, y below nk.
     *
     * @param data source memory and type; its shape does not matter
     * @param index source element (0, 0)
     */
    void alongK(Matrix data, long index, long from, int i, int ni, int k, int nk, Scratch scratch) {
        if (strideK > 1) {
            for (int y = 0; y < nk; y += TRANSPOSED_TERMS) {
                transpose(data, index + y, from, i, ni, k + y, Math.min(TRANSPOSED_TERMS, nk - y), true, scratch);
            }
            return;
        }
        for (int x = 0; x < ni; x++) {
            Rows.read(scratch.kernels, data, index + x * from, nk, target, at(i + x, k));
        }
    }

    /** Copies element (i + x, k + y) from {@code index + y * stride + x} of the source, for x below ni, y below nk. */
    void acrossK(Matrix data, long index, long from, int i, int ni, int k, int nk, Scratch scratch) {
        if (strideK == 1) {
            for (int x = 0; x < ni; x += TRANSPOSED_TERMS) {
                transpose(data, index + x, from, k, nk, i + x, Math.min(TRANSPOSED_TERMS, ni - x), false, scratch);
            }
            return;
        }
        if (panelStride == 0) {
            for (int y = 0; y < nk; y++) {
                Rows.read(scratch.kernels, data, index + y * from, ni, target, at(i, k + y));
            }
            return;
        }
        for (int x = 0; x < ni; ) {
            x += copyToPanels(data, index + x, from, i + x, ni - x, k, nk, scratch.kernels);
        }
    }

    /** Copies whole panels, a block of one, or what is left of one; returns how many columns. */
    private int copyToPanels(Matrix data, long index, long from, int i, int ni, int k, int nk, TileKernels kernels) {
        int width = Math.min(PANEL - inPanel(i), ni);
        int at = at(i, k);
        if (width < BLOCK || !Rows.converts(kernels, data.type())) {
            for (int y = 0; y < nk; y++) {
                Rows.read(
                        data.segment(), data.type(), index + y * from, width, array(), target.base() + at + y * PANEL);
            }
            return width;
        }
        width = width == PANEL ? PANEL : BLOCK;
        int pieces = width == PANEL ? ni / PANEL : 1;
        Rows.copyPieces(kernels, nk, pieces, width, data, index, from, PANEL, target.segment(), at, PANEL, panelStride);
        return pieces * width;
    }

    /**
     * Copies element (p + x, q + y) from {@code index + x * stride + y} of the source to where q is the index that is further apart: by blocks of BLOCK x BLOCK.
     *
     * @param pIsI whether p is i and q is k, or the other way round
     */
    private void transpose(
            Matrix data, long index, long from, int p, int np, int q, int nq, boolean pIsI, Scratch scratch) {
        int length = Math.ceilDiv(nq, BLOCK) * BLOCK;
        float[] lines = scratch.buffer(0, BLOCK * length);
        Storage source = scratch.bufferStorage(0);
        int step = pIsI ? strideK : strideI;
        for (int x = 0; x < np; ) {
            int start = pIsI ? at(p + x, q) : at(q, p + x);
            int count = Math.min(np - x, pIsI && panelStride > 0 ? BLOCK - inPanel(p + x) % BLOCK : BLOCK);
            for (int r = 0; r < count; r++) {
                Rows.read(scratch.kernels, data, index + (x + r) * from, nq, source, r * length);
            }
            int whole = count == BLOCK ? nq / BLOCK : 0;
            scratch.kernels.transpose(whole, source, 0, length, BLOCK, target, start, step, BLOCK * step);
            for (int y = whole * BLOCK; y < nq; y++) {
                int to = target.base() + start + y * step;
                for (int r = 0; r < count; r++) {
                    array()[to + r] = lines[r * length + y];
                }
            }
            x += count;
        }
    }

    /** Makes the elements of a panel zero. */
    void clearPanel(int i) {
        int first = target.base() + at(i, firstK);
        Arrays.fill(array(), first, first + panelStride, 0f);
    }

    private float[] array() {
        return target.array();
    }
}
