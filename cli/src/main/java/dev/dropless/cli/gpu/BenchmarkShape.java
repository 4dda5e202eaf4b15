package dev.dropless.cli.gpu;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.router.ScoreRouter;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A layer of a published model, and what others reach on it.
 *
 * @param name as in reports
 * @param part of gpu-check that measures it
 * @param tokens of the batch
 * @param hiddenSize H
 * @param ffnHiddenSize F
 * @param numExperts E
 * @param topK k
 * @param gated SwiGLU, else GELU
 * @param trains whether more than inference is measured
 * @param forward published figure of a forward pass, or null
 * @param backward published figure of a backward pass, or null
 * @param training published figure of both together, or null
 */
record BenchmarkShape(
        String name,
        String part,
        int tokens,
        int hiddenSize,
        int ffnHiddenSize,
        int numExperts,
        int topK,
        boolean gated,
        boolean trains,
        @Nullable Anchor forward,
        @Nullable Anchor backward,
        @Nullable Anchor training) {

    private static final String SONIC = "SonicMoE, H100, %s (arXiv 2512.14080, figure 14)";
    private static final String SONIC_120B = SONIC.formatted("T 32768, H 4096, F 2048, E 64, k 4");
    private static final String SONIC_30B = SONIC.formatted("T 32768, H 4096, F 1024, E 64, k 4");
    private static final String SONIC_7B = SONIC.formatted("T 24576, H 1536, F 256, E 128, k 8");
    private static final String SONIC_DSV3 = "SonicMoE, H100, a layer like DeepSeek-V3.2's (arXiv 2512.14080)";
    private static final String LIGER = "Liger-Kernel, H100, this shape (Liger-Kernel pull request 1294)";

    /** Divides H and F of a quick run, which shows that everything runs and measures nothing. */
    private static final int QUICK_DIVISOR = 256;

    private static final int QUICK_TOKENS = 8;

    /** Name of the part with the block-sparse products, which are measured at the shapes of MegaBlocks. */
    static final String MEGABLOCKS = "megablocks";

    /** All of them, in the order of gpu-check. */
    static final List<BenchmarkShape> ALL = List.of(
            swiglu("mixtral-8x7b", 8192, 4096, 14336, 8, 2).sonic(595, 586, SONIC_120B),
            swiglu("olmoe-1b-7b", 16384, 2048, 1024, 64, 8).sonic(552, 554, SONIC_30B),
            swiglu("qwen3-30b-a3b", 32768, 2048, 768, 128, 8).liger(),
            swiglu("dsv3-full", 8192, 7168, 2048, 256, 8).sonic(535, 480, SONIC_DSV3),
            decode("decode-qwen3-t16", "decode-qwen3-t16", 16, 2048, 768, 128, 8),
            swiglu("sonic-120b-n2048", 32768, 4096, 2048, 64, 4).sonic(595, 586, SONIC_120B),
            swiglu("sonic-30b-n1024", 32768, 4096, 1024, 64, 4).sonic(552, 554, SONIC_30B),
            swiglu("sonic-7b-n256", 24576, 1536, 256, 128, 8).sonic(365, 405, SONIC_7B),
            swiglu("dsv3-ep8", 32768, 7168, 2048, 32, 1),
            decode("decode-mixtral-t16", "decode", 16, 4096, 14336, 8, 2),
            decode("decode-olmoe-t1", "decode", 1, 2048, 1024, 64, 8),
            gelu("megablocks-xs", 65536, 512, 2048, 64),
            gelu("megablocks-small", 32768, 768, 3072, 64),
            gelu("megablocks-medium", 8192, 1024, 4096, 64),
            gelu("megablocks-coarse", 8192, 4096, 16384, 4));

    private static BenchmarkShape swiglu(String name, int t, int h, int f, int e, int k) {
        return new BenchmarkShape(name, name, t, h, f, e, k, true, true, null, null, null);
    }

    private static BenchmarkShape decode(String name, String part, int t, int h, int f, int e, int k) {
        return new BenchmarkShape(name, part, t, h, f, e, k, true, false, null, null, null);
    }

    private static BenchmarkShape gelu(String name, int t, int h, int f, int e) {
        return new BenchmarkShape(name, MEGABLOCKS, t, h, f, e, 1, false, true, null, null, null);
    }

    private BenchmarkShape sonic(double forward, double backward, String source) {
        return anchors(Anchor.teraflops(forward, source), Anchor.teraflops(backward, source), null);
    }

    private BenchmarkShape liger() {
        return anchors(Anchor.teraflops(501, LIGER), null, Anchor.teraflops(413, LIGER));
    }

    private BenchmarkShape anchors(
            @Nullable Anchor newForward, @Nullable Anchor newBackward, @Nullable Anchor newTraining) {
        return new BenchmarkShape(
                name,
                part,
                tokens,
                hiddenSize,
                ffnHiddenSize,
                numExperts,
                topK,
                gated,
                trains,
                newForward,
                newBackward,
                newTraining);
    }

    /** The shapes of a part. */
    static List<BenchmarkShape> of(String part, boolean quick) {
        return ALL.stream()
                .filter(shape -> shape.part.equals(part))
                .map(shape -> quick ? shape.quick() : shape)
                .toList();
    }

    /** The shape of a name. */
    static BenchmarkShape named(String name, boolean quick) {
        BenchmarkShape found =
                ALL.stream().filter(shape -> shape.name.equals(name)).findAny().orElseThrow();
        return quick ? found.quick() : found;
    }

    /** Sizes at which a CPU that stands in for a GPU takes moments; without published figures. */
    private BenchmarkShape quick() {
        return new BenchmarkShape(
                name,
                part,
                Math.min(tokens, QUICK_TOKENS),
                Math.max(8, hiddenSize / QUICK_DIVISOR / 8 * 8),
                Math.max(8, ffnHiddenSize / QUICK_DIVISOR / 8 * 8),
                Math.min(numExperts, 4),
                Math.min(topK, 2),
                gated,
                trains,
                null,
                null,
                null);
    }

    /** The same with another number of tokens. */
    BenchmarkShape withTokens(int count) {
        return new BenchmarkShape(
                name,
                part,
                count,
                hiddenSize,
                ffnHiddenSize,
                numExperts,
                topK,
                gated,
                trains,
                forward,
                backward,
                training);
    }

    int rows() {
        return Math.multiplyExact(tokens, topK);
    }

    int preActivations() {
        return gated ? 2 * ffnHiddenSize : ffnHiddenSize;
    }

    Activation activation() {
        return Activation.of(gated ? Activation.Function.SILU : Activation.Function.GELU_TANH);
    }

    /** The layer: softmax over all experts, the k best, no biases. */
    MoeConfig config() {
        return MoeConfig.builder(hiddenSize, ffnHiddenSize, numExperts, ScoreRouter.softmaxTopK(topK, false))
                .gated(gated)
                .activation(activation())
                .build();
    }

    /** Elements of the experts' weights. */
    long weights() {
        return (long) numExperts * hiddenSize * (preActivations() + ffnHiddenSize);
    }

    /** A bound of the device memory that measuring takes: weights and gradients, a pass of the layer twice (as it is and as a graph), and the experts alone. */
    long bytes() {
        long wide = ElementType.F32.bytes();
        long half = ElementType.BF16.bytes();
        long perRow = 2L * half * (preActivations() + ffnHiddenSize) + (wide + half) * hiddenSize;
        long perToken = 4 * half * hiddenSize + 8 * wide * numExperts + wide * hiddenSize;
        long reserve = 1L << 30;
        return (trains ? 2 : 1) * half * weights() + 3 * (rows() * perRow + tokens * perToken) + reserve;
    }
}
