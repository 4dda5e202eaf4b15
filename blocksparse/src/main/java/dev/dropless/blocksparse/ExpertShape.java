package dev.dropless.blocksparse;

/**
 * Sizes of a group of experts that are computed together. Every expert is
 * <pre>
 *   hidden = activation(x Gate + gateBias [, x Up + upBias])     [hiddenSize] -> [ffnHiddenSize]
 *   y      = hidden Down + downBias                              [ffnHiddenSize] -> [hiddenSize]
 * </pre>
 *
 * @param numExperts E, 1 or more
 * @param hiddenSize H, 1 or more
 * @param ffnHiddenSize F, 1 or more
 * @param gated whether there is an Up projection beside Gate (GLU)
 * @param inputBias whether Gate and Up have a bias per expert
 * @param outputBias whether Down has a bias per expert
 */
public record ExpertShape(
        int numExperts, int hiddenSize, int ffnHiddenSize, boolean gated, boolean inputBias, boolean outputBias) {

    /**
     * Checks the sizes.
     *
     * @throws IllegalArgumentException if one is below 1, or 2 * ffnHiddenSize overflows
     */
    public ExpertShape {
        check("numExperts", numExperts);
        check("hiddenSize", hiddenSize);
        check("ffnHiddenSize", ffnHiddenSize);
        if (ffnHiddenSize > Integer.MAX_VALUE / 2) {
            throw new IllegalArgumentException(
                    "ffnHiddenSize: expected at most " + Integer.MAX_VALUE / 2 + ", found " + ffnHiddenSize);
        }
    }

    private static void check(String argument, int value) {
        if (value < 1) {
            throw new IllegalArgumentException("%s: expected at least 1, found %d".formatted(argument, value));
        }
    }

    /**
     * Returns the number of pre-activations of a row: gate first, then up.
     *
     * @return ffnHiddenSize, or twice that where gated
     */
    public int preActivations() {
        return gated ? 2 * ffnHiddenSize : ffnHiddenSize;
    }

    /**
     * Tells whether the experts have this part.
     *
     * @param part a part
     * @return true if its weights exist
     */
    public boolean has(WeightPart part) {
        return switch (part) {
            case GATE, DOWN -> true;
            case UP -> gated;
            case GATE_BIAS -> inputBias;
            case UP_BIAS -> inputBias && gated;
            case DOWN_BIAS -> outputBias;
        };
    }

    /**
     * Returns the rows of one expert's part, in the orientation y = x W.
     *
     * @param part a part
     * @return input size, or 1 for a bias
     */
    public int rows(WeightPart part) {
        return switch (part) {
            case GATE, UP -> hiddenSize;
            case DOWN -> ffnHiddenSize;
            case GATE_BIAS, UP_BIAS, DOWN_BIAS -> 1;
        };
    }

    /**
     * Returns the columns of one expert's part, in the orientation y = x W.
     *
     * @param part a part
     * @return output size
     */
    public int columns(WeightPart part) {
        return switch (part) {
            case GATE, UP, GATE_BIAS, UP_BIAS -> ffnHiddenSize;
            case DOWN, DOWN_BIAS -> hiddenSize;
        };
    }
}
