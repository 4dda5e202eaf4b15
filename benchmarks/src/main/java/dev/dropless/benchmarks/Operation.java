package dev.dropless.benchmarks;

import dev.dropless.blocksparse.spi.ExpertKernels;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/** The operations of {@link ExpertKernels}, under their names there, and the two passes that they make up. */
public enum Operation {
    /** Gather, gate and up projections, activation; keeps pre-activations, unless weights are int8. */
    UP("up", false),
    /** Down-projection. */
    DOWN("down", false),
    /** Weighted sum of each token's rows. */
    COMBINE("combine", false),
    /** Gradient of pre-activations and combine weights; activations recomputed. */
    DOWN_DGRAD("downDgrad", true),
    /** Weight gradient of the down-projection. */
    DOWN_WGRAD("downWgrad", true),
    /** Gradient of each row's input. */
    UP_DGRAD("upDgrad", true),
    /** Weight gradients of gate and up projections. */
    UP_WGRAD("upWgrad", true),
    /** Sum of the gradients of each token's rows. */
    AGGREGATE("aggregate", true),
    /** up without pre-activations, down, combine. */
    FORWARD("forward", false),
    /** All eight; pre-activations are turned into their gradient in place, as in a layer. */
    FORWARD_BACKWARD("forward+backward", true);

    private final String word;
    private final boolean backward;

    Operation(String word, boolean backward) {
        this.word = word;
        this.backward = backward;
    }

    /**
     * Returns the name in options and reports.
     *
     * @return as the method is called
     */
    public String word() {
        return word;
    }

    /**
     * Tells whether the operation belongs to the backward pass.
     *
     * @return false for what inference needs
     */
    public boolean backward() {
        return backward;
    }

    /**
     * Lists the names.
     *
     * @param withBackward whether those of the backward pass are wanted too
     * @return in the order of a pass
     */
    public static List<String> words(boolean withBackward) {
        return Arrays.stream(values())
                .filter(operation -> withBackward || !operation.backward)
                .map(Operation::word)
                .toList();
    }

    /**
     * Finds an operation.
     *
     * @param word as {@link #word}
     * @return the operation
     * @throws IllegalArgumentException if there is none
     */
    public static Operation of(String word) {
        return Arrays.stream(values())
                .filter(operation -> operation.word.equals(word))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("pass: expected one of %s, found \"%s\""
                        .formatted(words(true).stream().collect(Collectors.joining(", ")), word)));
    }
}
