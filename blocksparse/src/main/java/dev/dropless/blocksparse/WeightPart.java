package dev.dropless.blocksparse;

/** The weights of an expert, in the orientation y = x W ([in, out]). */
public enum WeightPart {
    /** First projection, or the gate of a gated expert: [hiddenSize, ffnHiddenSize]. */
    GATE,
    /** Second factor of a gated expert: [hiddenSize, ffnHiddenSize]. */
    UP,
    /** Output projection: [ffnHiddenSize, hiddenSize]. */
    DOWN,
    /** Added to x Gate: [1, ffnHiddenSize]. */
    GATE_BIAS,
    /** Added to x Up: [1, ffnHiddenSize]. */
    UP_BIAS,
    /** Added to hidden Down: [1, hiddenSize]. */
    DOWN_BIAS
}
