package dev.dropless.moe.router;

/** Load balancing without an auxiliary loss: a bias on the scores, for selection only, that follows the load. */
public final class SelectionBias {

    private SelectionBias() {}

    /**
     * One update, after a training step: b_e + rate * sign(mean load - load_e) (Wang et al. 2024, arXiv 2408.15664,
     * algorithm 1; DeepSeek-V3, arXiv 2412.19437, section 2.1.2). With several ranks or micro-batches, add up their
     * loads first.
     *
     * @param bias b, [E]; left alone
     * @param tokensPerExpert load, [E]
     * @param rate update speed, 0 or more
     * @return the new bias, [E]
     * @throws IllegalArgumentException if lengths differ, or the rate is negative or not finite
     */
    public static double[] updated(double[] bias, int[] tokensPerExpert, double rate) {
        Arguments.length("tokensPerExpert", tokensPerExpert.length, bias.length, "length of bias");
        Arguments.notNegative("rate", rate);
        long total = 0;
        for (int load : tokensPerExpert) {
            total += load;
        }
        double[] next = bias.clone();
        for (int e = 0; e < next.length; e++) {
            next[e] += rate * Long.signum(total - (long) tokensPerExpert[e] * next.length);
        }
        return next;
    }
}
