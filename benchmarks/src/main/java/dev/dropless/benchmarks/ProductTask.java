package dev.dropless.benchmarks;

import dev.dropless.blocksparse.ElementType;
import java.util.Arrays;

/**
 * One product of an MoE layer, alone.
 *
 * @param product which one
 * @param layer sizes, assignments, type, threads; forward
 */
public record ProductTask(Product product, LayerTask layer) implements Task {

    /** Products. Blocks are 128 x 128 with exact row counts. */
    public enum Product {
        /** Block-sparse level: [rows, F] = x gathered times the gate projections, sampled at the experts' blocks. */
        SDD,
        /** Block-sparse level: [rows, H] = block-diagonal activations times the down-projections. */
        DSD,
        /** Expert level: gather, gate and up projections, activation. */
        UP,
        /** Expert level: down-projection. */
        DOWN;

        /**
         * Returns the name in options and reports.
         *
         * @return lower case
         */
        public String word() {
            return name().toLowerCase(java.util.Locale.ROOT);
        }

        /**
         * Finds a product.
         *
         * @param word as {@link #word}
         * @return the product
         * @throws IllegalArgumentException if there is none
         */
        public static Product of(String word) {
            return Arrays.stream(values())
                    .filter(product -> product.word().equals(word))
                    .findFirst()
                    .orElseThrow(() -> new IllegalArgumentException(
                            "product: expected sdd, dsd, up or down, found \"" + word + "\""));
        }
    }

    /**
     * Checks that the product has the type.
     *
     * @throws IllegalArgumentException if a block-sparse product is asked for in another type than f32, or any in int8
     */
    public ProductTask {
        boolean fused = product == Product.UP || product == Product.DOWN;
        if (layer.int8() || (!fused && layer.type() != ElementType.F32)) {
            throw new IllegalArgumentException(
                    "dtype: expected f32 for %s, found %s".formatted(product.word(), layer.dtype()));
        }
    }

    @Override
    public String shape() {
        return layer.shape();
    }

    @Override
    public int tokens() {
        return layer.tokens();
    }

    @Override
    public String routing() {
        return layer.routing();
    }

    @Override
    public String pass() {
        return product.word();
    }

    @Override
    public String dtype() {
        return layer.dtype();
    }

    @Override
    public int threads() {
        return layer.threads();
    }

    /** Columns of the weights that enter, times H. */
    private double weightsPerExpert() {
        MoeShape shape = layer.layer();
        int columns = product == Product.UP ? shape.experts().preActivations() : shape.ffnHiddenSize();
        return (double) shape.hiddenSize() * columns;
    }

    @Override
    public double usefulFlops() {
        return 2.0 * weightsPerExpert() * tokens() * layer.layer().topK();
    }

    /** Weights of experts with rows, the rows that enter, the rows that leave. */
    @Override
    public double compulsoryBytes() {
        double experts = Arrays.stream(layer.topology().tokensPerExpert())
                .filter(load -> load > 0)
                .count();
        double rows = (double) tokens() * layer.layer().topK();
        double row = (double) layer.layer().hiddenSize() + layer.layer().ffnHiddenSize();
        return layer.type().bytes() * (experts * weightsPerExpert() + rows * row);
    }
}
