package dev.dropless.kernels.tornado.engine;

/** The kernels of this back end. An engine runs them; what each reads and writes is said where its method is. */
public enum Kernel {
    /** A grouped product, one thread for each element. */
    PRODUCT,
    /** A grouped product, tiles in local memory. */
    PRODUCT_TILES,
    /** From the scratch memory of a product on tensor cores to the result. */
    PRODUCT_STORE,
    /** A grouped product with numbered and weighted steps, one thread for each element. */
    OUTER,
    /** A grouped product with numbered and weighted steps, tiles in local memory. */
    OUTER_TILES,
    /** Up-projection with activation, one thread for each element. */
    UP,
    /** Up-projection with activation, tiles in local memory. */
    UP_TILES,
    /** Activation alone. */
    ACTIVATE,
    /** Backward of the activation. */
    ACTIVATION_GRADIENT,
    /** Sum of a token's rows. */
    COMBINE,
    /** Dot products that belong to slots. */
    SLOT_GRADIENT,
    /** Sums over the rows of an expert. */
    BIAS_GRADIENT,
    /** Weights of slots in the order of rows. */
    GATHER_SLOTS,
    /** Elementwise product. */
    MULTIPLY,
    /** The gate of a shared expert. */
    SIGMOID_GATE,
    /** Backward of that gate. */
    SIGMOID_GATE_GRADIENT,
    /** 16-bit floats to floats. */
    WIDEN,
    /** Floats to 16-bit floats, rounded. */
    NARROW,
    /** Copy of a matrix. */
    COPY,
    /** One value everywhere. */
    FILL,
    /** Blocks of a sparse matrix to or from a dense one. */
    COPY_BLOCKS,
    /** How often each chunk of slots names each expert. */
    COUNT,
    /** Exclusive sums over the chunks of each expert. */
    SCAN_CHUNKS,
    /** Exclusive sums over the experts. */
    SCAN_EXPERTS,
    /** Rows of slots; slots, tokens and experts of rows. */
    PLACE,
    /** Which groups of experts each token may choose from. */
    ROUTE_GROUPS,
    /** Each token's experts and their weights. */
    ROUTE,
    /** Backward of the weights, to the logits. */
    ROUTE_GRADIENT,
    /** What identity experts add. */
    IDENTITY_ADD,
    /** Gradients of the weights of identity experts. */
    IDENTITY_GRADIENT,
    /** A grouped product of bfloat16 on tensor cores, into scratch memory. The last two: most devices cannot have them. */
    PRODUCT_BF16,
    /** A grouped product of binary16 on tensor cores, into scratch memory. */
    PRODUCT_F16;

    /** Rows and columns of the result that a group of threads computes. */
    public static final int TILE = 32;

    /** Threads that compute with a tensor core together; a group has two warps, in one dimension. */
    public static final int WARP = 32;

    /** Threads of a group without tensor cores in each of two dimensions. */
    public static final int THREADS = 16;

    /**
     * Tells whether it works on tiles in local memory: groups of {@link #THREADS} x {@link #THREADS} threads.
     *
     * @return true for the tiled kernels
     */
    public boolean isTiled() {
        return this == PRODUCT_TILES || this == OUTER_TILES || this == UP_TILES;
    }

    /**
     * Tells whether it computes with tensor cores: groups of two warps.
     *
     * @return true for products of 16-bit floats
     */
    public boolean usesTensorCores() {
        return this == PRODUCT_BF16 || this == PRODUCT_F16;
    }
}
