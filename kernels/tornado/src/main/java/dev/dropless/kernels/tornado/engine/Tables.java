package dev.dropless.kernels.tornado.engine;

/**
 * How the index tables of products lie in the array of ints, for those who write them and for the kernels that read
 * them. All places are numbers of elements, not bytes.
 *
 * <p>A grouped product is a list of independent products. Group g computes, for i below its rows and j below its
 * columns,
 * <pre>
 *   c(i, j) (+)= scale(i) * sum over segments s, over l below depth(s), of a_s(map(i), l) * b_s(l, j)  +  bias(j)
 * </pre>
 * where every operand has a base and two strides in the array of floats. A dense product is one group with one segment,
 * an expert's product is a group, a block row of a sparse matrix is a group with one segment for each of its blocks.
 */
public final class Tables {

    /** Ints of a group's record. */
    public static final int GROUP_WORDS = 12;

    /** In place of an offset: there is none. */
    public static final int NONE = -1;

    /** Rows of the groups before this one. */
    public static final int FIRST_ROW = 0;

    /** Tiles of rows of the groups before this one. */
    public static final int FIRST_TILE = 1;

    /** Rows of the group's result. */
    public static final int ROWS = 2;

    /** Columns of the group's result. */
    public static final int COLUMNS = 3;

    /** Where the result begins. */
    public static final int C_BASE = 4;

    /** From one row of the result to the next. */
    public static final int C_ROW = 5;

    /** From one column of the result to the next. */
    public static final int C_COLUMN = 6;

    /** Which record of the segments is the group's first. */
    public static final int FIRST_SEGMENT = 7;

    /** How many segments the group has. */
    public static final int SEGMENTS = 8;

    /** Where the bias of column 0 lies, or {@link #NONE}. */
    public static final int BIAS = 9;

    /** Where the rows of a lie that make the group's rows (in the ints), or {@link #NONE}: row i is row i. */
    public static final int ROW_MAP = 10;

    /** Where the factors of the group's rows lie, or {@link #NONE}. */
    public static final int ROW_SCALE = 11;

    /** Ints of a segment's record. */
    public static final int SEGMENT_WORDS = 10;

    /** Where the left operand begins. */
    public static final int A_BASE = 0;

    /** From one row of the left operand to the next. */
    public static final int A_ROW = 1;

    /** From one step of the summation to the next, in the left operand. */
    public static final int A_DEPTH = 2;

    /** Where the right operand begins. */
    public static final int B_BASE = 3;

    /** From one step of the summation to the next, in the right operand. */
    public static final int B_DEPTH = 4;

    /** From one column of the right operand to the next. */
    public static final int B_COLUMN = 5;

    /** Length of the summation. */
    public static final int DEPTH = 6;

    /** Where the steps of the left operand are numbered (in the ints), or {@link #NONE}. */
    public static final int A_MAP = 7;

    /** Where the steps of the right operand are numbered (in the ints), or {@link #NONE}. */
    public static final int B_MAP = 8;

    /** Where the factors of the steps lie, or {@link #NONE}. */
    public static final int DEPTH_SCALE = 9;

    /** Ints of a block's record, for copies between sparse and dense. */
    public static final int BLOCK_WORDS = 5;

    private Tables() {}
}
