package dev.dropless.kernels.cpu;

/**
 * The operands of {@link TileKernels#differentiateTile}: a tile on its way from the gradient of hidden values to that of pre-activations. All are floats in arrays; g, a, b
 * and h have rows of PANEL elements. Kept with a {@link Scratch} and filled in for one tile after the other.
 */
final class TileGradient {

    int rows;
    /** Whether there is b. */
    boolean gated;
    /** Whether h is written before it is read. */
    boolean recompute;

    /** Gradient of hidden values, from element {@link #gOffset} on; undefined afterwards. */
    Storage g = Nothing.STORAGE;

    int gOffset;
    /** Pre-activations of the gate, or the only ones; becomes their gradient. */
    Storage a = Nothing.STORAGE;
    /** The other pre-activations, of the same size also where there is no gate; becomes their gradient. */
    Storage b = Nothing.STORAGE;
    /** Hidden values. */
    Storage h = Nothing.STORAGE;
    /** One for each row. */
    Storage factors = Nothing.STORAGE;
    /** Receives the sum of h g of each row, at {@code dotsOffset + row * dotsStride}; empty if nobody wants it. */
    Storage dots = Nothing.STORAGE;

    int dotsOffset;
    int dotsStride;
    /** As many elements as h, which may be overwritten. */
    Storage scratch = Nothing.STORAGE;

    boolean wantsDots() {
        return dots.elements() > 0;
    }
}
