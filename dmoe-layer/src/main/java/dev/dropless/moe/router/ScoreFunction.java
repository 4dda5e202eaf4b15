package dev.dropless.moe.router;

/** How one token's gate logits become scores. */
public enum ScoreFunction {
    /** exp(z_e) / sum over all experts of exp(z). */
    SOFTMAX,
    /** 1 / (1 + exp(-z_e)), each expert on its own (DeepSeek-V3, arXiv 2412.19437, equation 15). */
    SIGMOID,
    /** sqrt(ln(1 + exp(z_e))), each expert on its own (DeepSeek-V4). */
    SQRT_SOFTPLUS;

    /**
     * Scores of one token.
     *
     * @param logits gate logits, at least offset + E values
     * @param scores written at the same places
     * @param offset first value of the token's row
     * @param numExperts E
     */
    public void forward(double[] logits, double[] scores, int offset, int numExperts) {
        switch (this) {
            case SOFTMAX -> softmax(logits, scores, offset, numExperts);
            case SIGMOID -> {
                for (int i = offset; i < offset + numExperts; i++) {
                    scores[i] = sigmoid(logits[i]);
                }
            }
            case SQRT_SOFTPLUS -> {
                for (int i = offset; i < offset + numExperts; i++) {
                    scores[i] = Math.sqrt(softplus(logits[i]));
                }
            }
        }
    }

    /**
     * Adds the gradient of one token's logits.
     *
     * @param logits gate logits
     * @param scores what {@link #forward} wrote
     * @param dScores gradient of the scores
     * @param dLogits added to
     * @param offset first value of the token's row, in all four arrays
     * @param numExperts E
     */
    public void backward(
            double[] logits, double[] scores, double[] dScores, double[] dLogits, int offset, int numExperts) {
        backward(logits, scores, offset, dScores, dLogits, offset, numExperts);
    }

    /** The same with gradients that begin elsewhere in their arrays than the values. */
    void backward(
            double[] logits,
            double[] scores,
            int offset,
            double[] dScores,
            double[] dLogits,
            int dOffset,
            int numExperts) {
        switch (this) {
            case SOFTMAX -> softmaxBackward(scores, offset, dScores, dLogits, dOffset, numExperts);
            case SIGMOID -> {
                for (int i = 0; i < numExperts; i++) {
                    // sigmoid(-z) keeps its digits where 1 - sigmoid(z) has lost them
                    dLogits[dOffset + i] += dScores[dOffset + i] * scores[offset + i] * sigmoid(-logits[offset + i]);
                }
            }
            case SQRT_SOFTPLUS -> {
                for (int i = 0; i < numExperts; i++) {
                    double score = scores[offset + i];
                    dLogits[dOffset + i] +=
                            score == 0 ? 0 : dScores[dOffset + i] * sigmoid(logits[offset + i]) / (2 * score);
                }
            }
        }
    }

    /**
     * The logistic function.
     *
     * @param z any number
     * @return 1 / (1 + exp(-z)), without overflow
     */
    public static double sigmoid(double z) {
        if (z >= 0) {
            return 1 / (1 + Math.exp(-z));
        }
        double exp = Math.exp(z);
        return exp / (1 + exp);
    }

    /**
     * The smooth ramp.
     *
     * @param z any number
     * @return ln(1 + exp(z)), without overflow
     */
    public static double softplus(double z) {
        return Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
    }

    static void softmax(double[] logits, double[] scores, int offset, int count) {
        double max = Double.NEGATIVE_INFINITY;
        for (int i = offset; i < offset + count; i++) {
            max = Math.max(max, logits[i]);
        }
        double sum = 0;
        for (int i = offset; i < offset + count; i++) {
            scores[i] = Math.exp(logits[i] - max);
            sum += scores[i];
        }
        for (int i = offset; i < offset + count; i++) {
            scores[i] /= sum;
        }
    }

    private static void softmaxBackward(
            double[] scores, int offset, double[] dScores, double[] dLogits, int dOffset, int count) {
        double mean = 0;
        for (int i = 0; i < count; i++) {
            mean += scores[offset + i] * dScores[dOffset + i];
        }
        for (int i = 0; i < count; i++) {
            dLogits[dOffset + i] += scores[offset + i] * (dScores[dOffset + i] - mean);
        }
    }
}
