package dev.dropless.kernels.tornado.engine;

/** Which argument of the router's kernels is what: words by their number, constants by the number of their pair of floats. */
public final class RouterWords {

    /** T. */
    public static final int TOKENS = 0;

    /** Groups of experts, at least 1: the second dimension of the kernel that limits groups. */
    public static final int GROUPS = 1;

    /** Columns of the logits. */
    public static final int CHOICES = 2;

    /** k. */
    public static final int TOP_K = 3;

    /** How many choices have rows; the rest are identity experts. */
    public static final int NUM_EXPERTS = 4;

    /** Where the logits begin. */
    public static final int LOGITS = 5;

    /** From one token's logits to the next. */
    public static final int LOGITS_ROW = 6;

    /** Where the bias of logits begins, or {@link Tables#NONE}. */
    public static final int BIAS = 7;

    /** Where the bias of the selection begins, or {@link Tables#NONE}. */
    public static final int SELECTION = 8;

    /** Number of the score's function. */
    public static final int SCORE = 9;

    /** Number of what choices are compared by. */
    public static final int BY = 10;

    /** How many groups stay. */
    public static final int STAY = 11;

    /** 1 to compare groups by their two best values, else by the best. */
    public static final int SUM_OF_TWO = 12;

    /** Number of what weights are made of. */
    public static final int SOURCE = 13;

    /** Order of the norm that weights are divided by, 1 or 2; 0 for none. */
    public static final int NORM = 14;

    /** Where the flags of groups begin, [T, groups] (in the ints), or {@link Tables#NONE} for no groups. */
    public static final int KEPT = 15;

    /** Where the choices go, [T, k] (in the ints). */
    public static final int IDS = 16;

    /** Where the experts go, [T, k] (in the ints): choices, or -1 for identity experts. */
    public static final int EXPERTS = 17;

    /** Where the weights begin, [T, k]. */
    public static final int WEIGHTS = 18;

    /** Where the weights' gradient begins. */
    public static final int D_WEIGHTS = 19;

    /** From one token's to the next. */
    public static final int D_WEIGHTS_ROW = 20;

    /** Where what is added to it begins, or {@link Tables#NONE}. */
    public static final int MORE = 21;

    /** From one token's to the next. */
    public static final int MORE_ROW = 22;

    /** Where the logits' gradient begins. */
    public static final int D_LOGITS = 23;

    /** From one token's to the next. */
    public static final int D_LOGITS_ROW = 24;

    /** 1 to add to it. */
    public static final int ACCUMULATE = 25;

    /** Constant: added to the norm. */
    public static final int EPSILON = 0;

    /** Constant: smallest divisor. */
    public static final int FLOOR = 1;

    /** Constant: factor of all weights. */
    public static final int SCALE = 2;

    /** Constant: limit of the gates, or 0. */
    public static final int SOFT_CAP = 3;

    private RouterWords() {}
}
