package dev.dropless.cli.routing;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.cli.workload.Gaussian;
import dev.dropless.cli.workload.Words;
import dev.dropless.moe.router.Router;
import dev.dropless.moe.router.RouterInput;
import dev.dropless.moe.router.Routing;
import java.util.List;

/**
 * A routing and what its tokens are.
 *
 * @param title what was routed
 * @param routing the router's decision
 * @param vocabulary the token of each id; empty where unknown
 */
public record RoutedTokens(String title, Routing routing, List<String> vocabulary) {

    /** Copies the vocabulary. */
    public RoutedTokens {
        vocabulary = List.copyOf(vocabulary);
    }

    /**
     * Routes a text by a seeded embedding and a seeded router weight, both normal, so that logits have about unit variance.
     *
     * @param title what the text is
     * @param words the text
     * @param hiddenSize H of the embedding
     * @param numExperts E
     * @param router decides
     * @param seed same seed, same routing
     * @param kernels multiplies
     * @return the routed text, with its token ids
     */
    public static RoutedTokens ofText(
            String title, Words words, int hiddenSize, int numExperts, Router router, long seed, Kernels kernels) {
        int tokens = words.ids().length;
        double[] logits = new double[Math.multiplyExact(tokens, numExperts)];
        try (KernelMemory.Scope scope = kernels.memory().open()) {
            Matrix x = scope.allocate(ElementType.F32, tokens, hiddenSize);
            Matrix weight = scope.allocate(ElementType.F32, numExperts, hiddenSize);
            Matrix z = scope.allocate(kernels.accumulation(), tokens, numExperts);
            kernels.memory().copy(Matrix.of(words.embed(hiddenSize, seed), tokens, hiddenSize), x);
            float[] normal = Gaussian.values(Math.multiplyExact(numExperts, hiddenSize), seed + 2);
            kernels.memory().copy(Matrix.of(normal, numExperts, hiddenSize), weight);
            kernels.blockSparse().gemm(x, Transpose.N, weight, Transpose.T, z, false);
            kernels.memory().copy(z, Matrix.of(logits, tokens, numExperts));
        }
        double scale = 1 / Math.sqrt(hiddenSize);
        for (int i = 0; i < logits.length; i++) {
            logits[i] *= scale;
        }
        RouterInput input = RouterInput.builder(logits, tokens, numExperts)
                .tokenIds(words.ids())
                .build();
        return new RoutedTokens(title, router.route(input), words.vocabulary());
    }

    /**
     * Names a token id.
     *
     * @param id vocabulary id
     * @return the token, or the id itself where the vocabulary is unknown
     */
    public String token(int id) {
        return vocabulary.isEmpty() ? Integer.toString(id) : vocabulary.get(id);
    }
}
