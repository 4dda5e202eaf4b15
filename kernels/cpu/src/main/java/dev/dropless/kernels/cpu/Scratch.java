package dev.dropless.kernels.cpu;

/** What one thread needs for one tile: packed operands, results, row buffers. Grown when needed and reused, so that tiles allocate nothing. */
final class Scratch implements Pool.Reusable {

    private static final Storage NONE = Nothing.STORAGE;
    /**
     * Least size of an array of panels: 2 MB, which the usual garbage collector places at a page by itself and never moves, where smaller ones begin anywhere. Vectors of
     * panels then lie within a cache line each; where they cross lines, products in Java take half as long again.
     */
    private static final int PANEL_ELEMENTS = 1 << 19;

    /** The inner loops of those that use this. */
    final TileKernels kernels;

    /** Packed block of rows, stride {@link TileKernels#ROW_STRIDE}. */
    float[] rows = NONE.array();

    private Storage rowsStorage = NONE;
    /** Where the rows begin that are packed next. */
    int rowsOffset;
    /** Packed panels [panel][k][PANEL]. */
    private Storage packed = NONE;
    /** Weights of another type as floats, while panels are packed. */
    private Storage converted = NONE;
    /** Results [panel][row][PANEL]. */
    Storage results = NONE;
    /** Transposed results, before they are finished. */
    private Storage products = NONE;
    /** Where the panels lie that were prepared last: {@link #packed}, or the weights themselves. */
    Storage panels = NONE;
    /** Where the first of them begins. */
    int panelOffset;
    /** Elements from one to the next. */
    int panelStride;

    /** The tile that is computed. */
    final Tile tile = new Tile();

    /** Where operands are packed for block products. */
    final Packer packer = new Packer();

    /** What is packed next for them. */
    final PanelFeed feed = new PanelFeed();

    /** What they read next from memory. */
    final Ahead ahead = new Ahead();

    /** The product that the owner has started. */
    final ProductRunner.Call call = new ProductRunner.Call();

    /** Partial sums of dot products. */
    final float[] lanes = new float[TileKernels.DOT_LANES];

    private final TileGradient gradient = new TileGradient();
    private final Storage[] buffers = {NONE, NONE, NONE, NONE, NONE};

    Scratch(TileKernels kernels) {
        this.kernels = kernels;
    }

    /** Rows and panels of a group. */
    static final class Tile {
        int group;
        int row;
        int rows;
        int panel;
        int panels;
    }

    static float[] grown(float[] array, int length) {
        return array.length >= length ? array : new float[Math.max(length, (int) Math.min(2L * array.length, 1 << 28))];
    }

    /** Makes {@link #rows} long enough for {@code count} rows. */
    void rows(int count) {
        growRows(count * TileKernels.ROW_STRIDE);
    }

    /** Makes {@link #rows} long enough for interleaved rows with so many terms in all groups together. */
    void interleaved(int terms) {
        growRows(terms * TileKernels.BLOCK);
    }

    private void growRows(int length) {
        rows = grown(rows, length);
        if (rows != rowsStorage.array()) {
            rowsStorage = Storage.of(rows);
        }
    }

    Storage rowsStorage() {
        return rowsStorage;
    }

    float[] products(int length) {
        float[] array = grown(products.array(), length);
        if (array != products.array()) {
            products = Storage.of(array);
        }
        return array;
    }

    Storage productsStorage() {
        return products;
    }

    Storage packed() {
        return packed;
    }

    /** Whether the panels that were prepared last have just been written, so that there is nothing to fetch from memory. */
    boolean panelsAreCached() {
        return panels == packed || panels == converted;
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
    Storage packPanels(int count, int depth) {
        packed = ofPanels(packed, count * depth * TileKernels.PANEL);
        panels = packed;
        panelOffset = 0;
        panelStride = depth * TileKernels.PANEL;
        return packed;
    }

    /** Makes room for {@code count} floats, in which {@link #panels} are to lie while others stay packed. */
    Storage convertPanels(int count) {
        panels = converted(count);
        panelOffset = 0;
        return panels;
    }

    /** Room for {@code count} floats that panels of another format become. */
    Storage converted(int count) {
        converted = ofPanels(converted, count);
        return converted;
    }

    private static Storage ofPanels(Storage storage, int count) {
        long present = storage.elements();
        if (present >= count) {
            return storage;
        }
        return Storage.ofArray(
                Format.F32, (int) Math.max(Math.max(count, PANEL_ELEMENTS), Math.min(2 * present, 1 << 28)));
    }

    /**
     * A buffer for rows or tiles.
     *
     * @param index 0..4
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

    /** A tile of {@code rows} rows: {@link #results}, and all buffers for the rest. Whoever asks for it says what is to be done. */
    TileGradient gradient(int rows) {
        int size = rows * TileKernels.PANEL;
        for (int i = 0; i < buffers.length; i++) {
            buffer(i, size);
        }
        gradient.rows = rows;
        gradient.g = results;
        gradient.a = buffers[0];
        gradient.b = buffers[1];
        gradient.h = buffers[2];
        gradient.scratch = buffers[3];
        gradient.factors = buffers[4];
        return gradient;
    }

    @Override
    public void clear() {
        panels = NONE;
        ahead.clear();
        feed.clear();
        gradient.dots = NONE;
        call.clear();
    }
}
