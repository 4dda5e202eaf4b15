package dev.dropless.kernels.cpu;

import java.util.ArrayDeque;

/** What one thread needs for one tile: packed operands, results, row buffers. Grown when needed and reused, so that tiles allocate nothing. */
final class Scratch {

    private static final float[] EMPTY = {};
    private static final Storage NONE = Storage.of(EMPTY);

    /** Packed block of rows, stride {@link TileKernels#ROW_STRIDE}. */
    float[] rows = EMPTY;
    /** Packed panels [panel][k][PANEL]. */
    private Storage packed = NONE;
    /** Results [panel][row][PANEL]. */
    Storage results = NONE;
    /** Where the panels lie that were prepared last: {@link #packed}, or the weights themselves. */
    Storage panels = NONE;
    /** Where the first of them begins. */
    int panelOffset;
    /** Elements from one to the next. */
    int panelStride;
    /** What to fetch while a panel is multiplied: where the panels come from, which is {@link #panels} unless they were packed. */
    Storage ahead = NONE;
    /** Where the one after the first of them begins there, counted in floats, as are its length and the distance to the next. */
    int aheadOffset;

    int aheadStride;
    int aheadLength;
    /** Rows that will be multiplied with them. */
    int height;

    /** Partial sums of dot products. */
    final float[] lanes = new float[TileKernels.DOT_LANES];

    private final Storage[] buffers = {NONE, NONE, NONE, NONE};

    static float[] grown(float[] array, int length) {
        return array.length >= length ? array : new float[Math.max(length, (int) Math.min(2L * array.length, 1 << 28))];
    }

    /** {@link #results}, of at least some length. */
    float[] results(int length) {
        float[] array = grown(results.array(), length);
        if (array != results.array()) {
            results = Storage.of(array);
        }
        return array;
    }

    /** Makes {@link #packed} the place of the panels, for {@code count} panels of {@code depth} rows. */
    float[] packPanels(int count, int depth) {
        float[] array = grown(packed.array(), count * depth * TileKernels.PANEL);
        if (array != packed.array()) {
            packed = Storage.of(array);
        }
        panels = packed;
        panelOffset = 0;
        panelStride = depth * TileKernels.PANEL;
        fetch(packed, panelStride, panelStride, panelStride);
        return array;
    }

    /** Makes the weights themselves the place of the panels, one after the other {@code stride} elements apart. */
    void readPanels(Storage weights, int offset, int stride, int length) {
        panels = weights;
        panelOffset = offset;
        panelStride = stride;
        fetch(weights, offset + stride, stride, length);
    }

    /** Says what comes from memory next, in elements of its storage. */
    void fetch(Storage storage, int offset, int stride, int length) {
        int perFloat = Float.BYTES / storage.format().bytes();
        ahead = storage;
        aheadOffset = offset / perFloat;
        aheadStride = stride / perFloat;
        aheadLength = length / perFloat;
    }

    /**
     * A buffer for rows or tiles.
     *
     * @param index 0..3
     * @param length least length
     */
    float[] buffer(int index, int length) {
        float[] array = grown(buffers[index].array(), length);
        if (array != buffers[index].array()) {
            buffers[index] = Storage.of(array);
        }
        return array;
    }

    /** What {@link #buffer} returned last. */
    Storage bufferStorage(int index) {
        return buffers[index];
    }

    /** Those not in use, so that there are never more than threads at work. */
    static final class Pool {
        private final ArrayDeque<Scratch> free = new ArrayDeque<>();

        synchronized Scratch take() {
            Scratch scratch = free.poll();
            return scratch == null ? new Scratch() : scratch;
        }

        synchronized void give(Scratch scratch) {
            scratch.panels = NONE; // do not keep weights alive
            scratch.ahead = NONE;
            free.push(scratch);
        }
    }
}
