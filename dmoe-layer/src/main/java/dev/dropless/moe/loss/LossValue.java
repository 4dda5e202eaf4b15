package dev.dropless.moe.loss;

import org.jspecify.annotations.Nullable;

/** A loss with its gradients. Paths add up: what goes through the combine weights is in {@link #dWeights} only. */
public final class LossValue {

    private final double value;
    private final double[] dLogits;
    private final double @Nullable [] dWeights;
    private final double @Nullable [] dNoiseLogits;

    private LossValue(double value, double[] dLogits, double @Nullable [] dWeights, double @Nullable [] dNoiseLogits) {
        this.value = value;
        this.dLogits = dLogits;
        this.dWeights = dWeights;
        this.dNoiseLogits = dNoiseLogits;
    }

    /**
     * A loss that is a function of the logits.
     *
     * @param value the loss
     * @param dLogits [T, E]; not copied
     * @return the value
     */
    public static LossValue ofLogits(double value, double[] dLogits) {
        return new LossValue(value, dLogits, null, null);
    }

    /**
     * A loss that is a function of the combine weights.
     *
     * @param value the loss
     * @param logits T * E, the length of the logits
     * @param dWeights [T, k]; not copied
     * @return the value
     */
    public static LossValue ofWeights(double value, int logits, double[] dWeights) {
        return new LossValue(value, new double[logits], dWeights, null);
    }

    /**
     * A loss that is a function of the logits and of the noise logits.
     *
     * @param value the loss
     * @param dLogits [T, E]; not copied
     * @param dNoiseLogits [T, E]; not copied
     * @return the value
     */
    public static LossValue ofNoisyLogits(double value, double[] dLogits, double[] dNoiseLogits) {
        return new LossValue(value, dLogits, null, dNoiseLogits);
    }

    /**
     * The loss, coefficient included.
     *
     * @return the value
     */
    public double value() {
        return value;
    }

    /**
     * Gradient with respect to the router logits, apart from what goes through the combine weights.
     *
     * @return [T, E], not a copy
     */
    public double[] dLogits() {
        return dLogits;
    }

    /**
     * Gradient with respect to the combine weights, to be added to the layer's own before the router's backward pass.
     *
     * @return [T, k], not a copy, or null if the loss does not look at the weights
     */
    public double @Nullable [] dWeights() {
        return dWeights;
    }

    /**
     * Gradient with respect to the noise logits of noisy gating.
     *
     * @return [T, E], not a copy, or null if the loss does not look at them
     */
    public double @Nullable [] dNoiseLogits() {
        return dNoiseLogits;
    }
}
