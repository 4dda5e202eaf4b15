package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Matrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The inner loops of one tier. Everything above them (packing, tiles, threads) is shared by all tiers.
 *
 * <p>All tiers compute the same sequence of roundings, so their results are equal bit for bit: an element of a product is one chain of fused
 * multiply-adds in ascending k that starts from the value already in c, and the elementwise functions are those of {@link FloatMath} operation by
 * operation. Only the payload of a NaN may differ.
 *
 * <p>Instances are stateless and safe for use by several threads. Arguments are not checked beyond what arrays check.
 */
interface TileKernels extends CopyKernels {

    /** Columns of a packed panel, in memory [k][PANEL], and the row stride of a tile of results. */
    int PANEL = 32;

    /** Largest k extent of a packed block of rows. */
    int DEPTH = 1024;

    /**
     * Row stride of a packed block of rows. A constant turns every row access of a kernel into one base register and a displacement; the 16 beyond
     * {@link #DEPTH} keep rows off the same cache sets.
     */
    int ROW_STRIDE = DEPTH + 16;

    /** Rows and columns of a block of {@link #transpose}. */
    int BLOCK = 16;

    /** Independent partial sums of {@link #dot}: element i goes to sum i mod DOT_LANES. */
    int DOT_LANES = 32;

    /** The tier these kernels belong to. */
    CpuTier tier();

    /** Instruction set or vector width, for people. */
    String description();

    /** Memory for rows, aligned to {@link Matrix#ALIGNMENT}, whose content does not matter; it belongs to the arena. */
    default MemorySegment allocate(Arena arena, long bytes) {
        return arena.allocate(bytes, Matrix.ALIGNMENT);
    }

    /** Where {@link #multiply} reads weights fastest; what is taken from the system belongs to the arena. */
    default Storage.Allocator weights(Arena arena) {
        return Storage::ofArray;
    }

    /** Up to how many rows {@link #multiply} takes b in a narrow format, widening it on the way; beyond that b is widened once for all rows. */
    default int narrowRows() {
        return 0;
    }

    /** Whether {@link #multiply} fetches what is next wherever it lies, rather than only the panel after b. */
    default boolean fetchesAnything() {
        return false;
    }

    /**
     * c[i][j] += sum over k of a[i][k] b[k][j] for one panel.
     *
     * @param rows rows of a and c
     * @param depth terms, 0..DEPTH
     * @param a block of rows with stride ROW_STRIDE
     * @param aOffset element (0, 0) of a
     * @param b where the panel [depth][PANEL] lies; floats if there are more than {@link #narrowRows} rows
     * @param bOffset element (0, 0) of b
     * @param c where the tile [rows][PANEL] lies
     * @param cOffset element (0, 0) of c
     * @param next what will be read from memory after this and may be fetched into the cache meanwhile; its format does not matter
     * @param nextOffset its first element, counted in floats; may lie outside
     * @param nextLength its elements, counted in floats
     */
    void multiply(
            int rows,
            int depth,
            Storage a,
            int aOffset,
            Storage b,
            int bOffset,
            Storage c,
            int cOffset,
            Storage next,
            int nextOffset,
            int nextLength);

    /**
     * As the other one with floats in b, for as many rows as are multiplied together, at most {@link #interleavedRows}.
     *
     * @param next what will be read after this and may be fetched into the cache meanwhile; may lie outside its segment
     */
    default void multiply(
            int rows, int depth, Storage a, int aOffset, Storage b, int bOffset, Storage c, int cOffset, Ahead next) {
        multiply(rows, depth, a, aOffset, b, bOffset, c, cOffset, b, 0, 0);
    }

    /**
     * The same, but rows of floats are copied to panels, and as many that follow them are what may be fetched meanwhile.
     *
     * @param copied rows of {@code panels * PANEL} elements
     * @param panels how many panels receive a part of each row
     * @param target where the panels lie
     * @param targetOffset where the first row goes in the first of them
     * @param targetStride elements from one panel to the next
     */
    default void multiply(
            int rows,
            int depth,
            Storage a,
            int aOffset,
            Storage b,
            int bOffset,
            Storage c,
            int cOffset,
            Ahead copied,
            int panels,
            Storage target,
            int targetOffset,
            int targetStride) {
        multiply(rows, depth, a, aOffset, b, bOffset, c, cOffset, b, 0, 0);
        long from = copied.offset() / Float.BYTES;
        long stride = copied.stride() / Float.BYTES;
        copyPieces(
                copied.rows(),
                panels,
                PANEL,
                copied.segment(),
                from,
                stride,
                PANEL,
                target.segment(),
                targetOffset,
                PANEL,
                targetStride);
    }

    /** Whether products of bfloat16 are faster by pairs of terms: {@link #multiplyPairs} and what packs for it are there only then. */
    default boolean pairs() {
        return false;
    }

    /**
     * As {@link #multiply} where every element of a and b is a pair of terms in bfloat16, the first one in the upper half. All products are exact and added in
     * order, with one rounding each, as if they were floats; but subnormal factors, products and sums count as zero.
     */
    default void multiplyPairs(
            int rows,
            int depth,
            Storage a,
            int aOffset,
            Storage b,
            int bOffset,
            Storage c,
            int cOffset,
            Storage next,
            int nextOffset,
            int nextLength) {
        throw new UnsupportedOperationException("no pairs");
    }

    /** Rows that are interleaved for {@link #multiplyColumns}, at most BLOCK. */
    int interleavedRows();

    /**
     * c[i][j] += sum over k of a[i][k] b[k][j] for one panel, where the rows of a are interleaved: with g = i / interleavedRows, element (i, k) lies at
     * {@code aOffset + (g * depth + k) * BLOCK + i % interleavedRows}.
     *
     * @param rows rows of a and c
     * @param depth terms
     * @param a where the rows lie
     * @param aOffset element (0, 0) of a
     * @param b where the panel [depth][PANEL] lies
     * @param bOffset element (0, 0) of b
     * @param c where the tile [rows][PANEL] lies, in memory: later rows are fetched into the cache before their turn
     * @param cOffset element (0, 0) of c
     */
    void multiplyColumns(int rows, int depth, Storage a, int aOffset, Storage b, int bOffset, Storage c, int cOffset);

    /**
     * Asks for the beginning of each of some rows, all at once, so that the addresses of their pages are looked up side by side and known when the rest is fetched.
     *
     * @param rows may lie outside their segment
     */
    default void fetch(Ahead rows) {}

    /** Whether {@link #updateMatrix} is there. */
    default boolean updatesMatrices() {
        return false;
    }

    /**
     * As {@link #multiplyColumns} for a single group of interleaved rows, where c is a rectangle of a matrix of floats. Offsets and the stride are in elements.
     *
     * @param rows rows of a and c, at most interleavedRows
     * @param depth terms, 2 or more
     * @param accumulate whether the products are added to what is there, or to zero
     * @param next how many elements after c the rectangle begins that will be asked for next; may lie outside
     */
    default void updateMatrix(
            int rows,
            int depth,
            Storage a,
            int aOffset,
            Storage b,
            int bOffset,
            boolean accumulate,
            MemorySegment c,
            long cOffset,
            long cStride,
            long next) {
        throw new UnsupportedOperationException("no products in place");
    }

    /**
     * c[i][j] += sum over k of a[i][k] b[k][j] for some columns of a panel, where a is part of packed weights: element (i, k) at
     * {@code aOffset + k / PANEL * aStride + i * PANEL + k % PANEL}.
     *
     * @param rows rows of a and c, 0..PANEL
     * @param depth terms, a multiple of PANEL
     * @param columns columns that are needed, BLOCK or PANEL; others may be computed as well
     * @param a where the weights lie
     * @param aOffset element (0, 0) of a
     * @param aStride elements from one panel of a to the next
     * @param b where the panel [depth][PANEL] lies
     * @param bOffset element (0, 0) of b
     * @param c where the tile [rows][PANEL] lies
     * @param cOffset element (0, 0) of c
     * @param nextOffset first of the elements of {@code a} that may be fetched into the cache meanwhile; may lie outside
     * @param nextLength how many of them in every panel, 0..PANEL * PANEL
     */
    void multiplyPanels(
            int rows,
            int depth,
            int columns,
            Storage a,
            int aOffset,
            int aStride,
            Storage b,
            int bOffset,
            Storage c,
            int cOffset,
            int nextOffset,
            int nextLength);

    /** y[i] = fma(alpha, x[i], y[i]). */
    void axpy(int n, float alpha, float[] x, int xOffset, float[] y, int yOffset);

    /** x[i] *= alpha. */
    void scale(int n, float alpha, float[] x, int xOffset);

    /**
     * Sum of x[i] y[i]: {@link #DOT_LANES} chains of fused multiply-adds, then {@link FloatMath#sumLanes}.
     *
     * @param lanes scratch of DOT_LANES elements
     */
    float dot(int n, float[] x, int xOffset, float[] y, int yOffset, float[] lanes);

    /** h[i] = f(min(a[i], gateMax)). */
    void activate(FloatActivation activation, int n, float[] a, int aOffset, float[] h, int hOffset);

    /** h[i] = f(min(a[i], gateMax)) * (clamp(b[i]) + upOffset). */
    void activateGated(
            FloatActivation activation, int n, float[] a, int aOffset, float[] b, int bOffset, float[] h, int hOffset);

    /** Whether {@link #activateTile} is there for an activation. */
    default boolean activatesTiles(FloatActivation activation) {
        return false;
    }

    /**
     * {@link #activateGated} of the two halves of every row of a tile [rows][PANEL], a then b; h goes to rows of BLOCK floats that will not be read soon.
     *
     * @param tile floats
     * @param targetStride elements from one row to the next
     */
    default void activateTile(
            FloatActivation activation,
            int rows,
            Storage tile,
            int offset,
            MemorySegment target,
            long targetOffset,
            long targetStride) {
        throw new UnsupportedOperationException("activation of tiles");
    }

    /** a[i] becomes g[i] times the derivative of {@link #activate} by a[i]. */
    void differentiate(FloatActivation activation, int n, float[] g, int gOffset, float[] a, int aOffset);

    /**
     * a[i] and b[i] become g[i] times the derivatives of {@link #activateGated} by a[i] and by b[i].
     *
     * @param h scratch of n elements
     */
    void differentiateGated(
            FloatActivation activation,
            int n,
            float[] g,
            int gOffset,
            float[] a,
            int aOffset,
            float[] b,
            int bOffset,
            float[] h);

    /**
     * Everything between the gradient of a tile of hidden values and that of its pre-activations. In order, with rows of PANEL elements in g, a, b and h: h becomes
     * {@link #activate} or {@link #activateGated} of a and b where it is recomputed; the sum of h[i][j] g[i][j] over j is kept; g[i][j] is multiplied by factor i; a and
     * b become {@link #differentiate} or {@link #differentiateGated}.
     */
    default void differentiateTile(FloatActivation activation, TileGradient tile) {
        int size = tile.rows * PANEL;
        float[] g = tile.g.array();
        float[] a = tile.a.array();
        float[] b = tile.b.array();
        float[] h = tile.h.array();
        float[] scratch = tile.scratch.array();
        if (tile.recompute && tile.gated) {
            activateGated(activation, size, a, 0, b, 0, h, 0);
        } else if (tile.recompute) {
            activate(activation, size, a, 0, h, 0);
        }
        for (int i = 0; i < tile.rows; i++) {
            int at = tile.gOffset + i * PANEL;
            if (tile.wantsDots()) {
                float sum = dot(PANEL, h, i * PANEL, g, at, scratch);
                tile.dots.array()[tile.dotsOffset + i * tile.dotsStride] = sum;
            }
            scale(PANEL, tile.factors.array()[i], g, at);
        }
        if (tile.gated) {
            differentiateGated(activation, size, g, tile.gOffset, a, 0, b, 0, scratch);
        } else {
            differentiate(activation, size, g, tile.gOffset, a, 0);
        }
    }
}
