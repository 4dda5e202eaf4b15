package dev.dropless.benchmarks;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ExpertShape;
import java.util.List;
import java.util.stream.Collectors;

/**
 * Sizes of a layer under a name that benchmarks of MoE kernels use. The expert weights of some do not fit into the
 * memory of an ordinary machine: for those {@code ffnDivisor} says by what F was divided; H, E and k stay, so that rows
 * per expert and row lengths stay.
 *
 * @param name as in published benchmarks
 * @param hiddenSize H
 * @param ffnHiddenSize F as benchmarked
 * @param numExperts E
 * @param topK k
 * @param gated whether experts are gated (SwiGLU), else GELU
 * @param ffnDivisor published F over F as benchmarked; 1 where nothing is scaled
 */
public record MoeShape(
        String name, int hiddenSize, int ffnHiddenSize, int numExperts, int topK, boolean gated, int ffnDivisor) {

    /** Expert weights of a benchmarked shape in single precision stay below this. */
    private static final long WEIGHT_BYTES = 2_600_000_000L;

    private static final List<MoeShape> ALL = List.of(
            fitting("olmoe-1b-7b", 2048, 1024, 64, 8, true),
            fitting("qwen3-30b-a3b", 2048, 768, 128, 8, true),
            fitting("mixtral-8x7b", 4096, 14336, 8, 2, true),
            fitting("dsv3-full", 7168, 2048, 256, 8, true),
            fitting("sonic-7b-n256", 1536, 256, 128, 8, true),
            fitting("sonic-30b-n1024", 4096, 1024, 64, 4, true),
            fitting("sonic-120b-n2048", 4096, 2048, 64, 4, true),
            fitting("megablocks-xs", 512, 2048, 64, 1, false),
            fitting("megablocks-small", 768, 3072, 64, 1, false),
            fitting("megablocks-medium", 1024, 4096, 64, 1, false),
            fitting("megablocks-coarse", 4096, 16384, 4, 1, false),
            fitting("tiny", 48, 40, 6, 2, true));

    private static MoeShape fitting(
            String name, int hiddenSize, int ffnHiddenSize, int numExperts, int topK, boolean gated) {
        int divisor = 1;
        long bytes = (gated ? 12L : 8L) * numExperts * hiddenSize * ffnHiddenSize;
        while (bytes / divisor > WEIGHT_BYTES) {
            divisor *= 2;
        }
        return new MoeShape(name, hiddenSize, ffnHiddenSize / divisor, numExperts, topK, gated, divisor);
    }

    /**
     * Finds a shape.
     *
     * @param name its name
     * @return the shape
     * @throws IllegalArgumentException if there is none of that name; the message lists those there are
     */
    public static MoeShape named(String name) {
        return ALL.stream()
                .filter(shape -> shape.name.equals(name))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("shape: expected one of %s, found \"%s\""
                        .formatted(ALL.stream().map(MoeShape::name).collect(Collectors.joining(", ")), name)));
    }

    /**
     * Returns the shape with one up-projection.
     *
     * @return the same name and sizes, not gated
     */
    public MoeShape ungated() {
        return new MoeShape(name, hiddenSize, ffnHiddenSize, numExperts, topK, false, ffnDivisor);
    }

    /**
     * Returns the sizes for the kernels.
     *
     * @return experts without biases
     */
    public ExpertShape experts() {
        return new ExpertShape(numExperts, hiddenSize, ffnHiddenSize, gated, false, false);
    }

    /**
     * Returns the activation.
     *
     * @return SiLU where gated, else the tanh form of GELU
     */
    public Activation activation() {
        return Activation.of(gated ? Activation.Function.SILU : Activation.Function.GELU_TANH);
    }

    /**
     * Returns the weights of one expert.
     *
     * @return elements of gate, up and down
     */
    public long weightsPerExpert() {
        return (long) hiddenSize * (experts().preActivations() + ffnHiddenSize);
    }
}
