package dev.dropless.benchmarks;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.topology.Topology;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/**
 * One product of all experts, which the block-sparse level and the fused level both compute, from the same numbers and with
 * the same operations: one up-projection (the gate's, where experts are gated) or the down-projection, in single precision.
 *
 * @param product which one
 * @param layer sizes, assignments, threads; forward, f32, not gated
 */
public record ProductTask(Product product, LayerTask layer) implements Task {

    /** Products of a block-sparse (S) and dense (D) matrices; the fused operation that computes the same is named beside. */
    public enum Product {
        /** [N, F] = rows [N, H] times up-projections, at the experts' blocks; {@code up}, with ReLU because it is free. */
        SDD,
        /** [N, H] = block-diagonal activations times down-projections; {@code down}. */
        DSD,
        /** [H, F] of every expert += rows^T times block-diagonal gradients of pre-activations; {@code upWgrad}. */
        DDS;

        /**
         * Returns the name in options and reports.
         *
         * @return lower case
         */
        public String word() {
            return name().toLowerCase(Locale.ROOT);
        }

        /**
         * Lists the names.
         *
         * @return of all products
         */
        public static List<String> words() {
            return Arrays.stream(values()).map(Product::word).toList();
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
                    .orElseThrow(() -> new IllegalArgumentException("pass: expected one of %s, found \"%s\""
                            .formatted(words().stream().collect(Collectors.joining(", ")), word)));
        }
    }

    /**
     * Checks the layer.
     *
     * @throws IllegalArgumentException if it is of another type than f32
     */
    public ProductTask {
        if (layer.layer().gated() || layer.backward() || !layer.dtype().equals("f32")) {
            throw new IllegalArgumentException("dtype: expected f32 for %s, found %s (pass %s, %s)"
                    .formatted(
                            product.word(),
                            layer.dtype(),
                            layer.pass(),
                            layer.layer().gated() ? "gated" : "not gated"));
        }
    }

    /**
     * Makes a task.
     *
     * @param product which one
     * @param shape sizes; without its second up-projection, if it has one
     * @param tokens T
     * @param pattern who goes where
     * @param threads 1 or more
     * @return the task
     */
    public static ProductTask of(Product product, MoeShape shape, int tokens, RoutingPattern pattern, int threads) {
        return new ProductTask(product, new LayerTask(shape.ungated(), tokens, pattern, false, "f32", threads));
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

    /**
     * Makes the activations, or the gradient of the pre-activations.
     *
     * @param arena owner of the memory
     * @return [N, F]
     */
    Matrix newHidden(Arena arena) {
        int rows = layer.tokens() * layer.layer().topK();
        return Values.fill(
                5,
                1,
                Matrix.allocate(arena, ElementType.F32, rows, layer.layer().ffnHiddenSize()));
    }

    /**
     * Makes each row's input.
     *
     * @param topology of the layer
     * @param arena owner of the memory
     * @return [N, H]
     */
    Matrix newRows(Topology topology, Arena arena) {
        Matrix x = layer.newInput(arena);
        Matrix rows = Matrix.allocate(arena, ElementType.F32, topology.rows(), x.columns());
        for (int r = 0; r < topology.rows(); r++) {
            rows.sliceRows(r, 1).copyFrom(x.sliceRows(topology.tokenOfRow(r), 1));
        }
        return rows;
    }

    private double weightsPerExpert() {
        return (double) layer.layer().hiddenSize() * layer.layer().ffnHiddenSize();
    }

    @Override
    public double usefulFlops() {
        return 2.0 * weightsPerExpert() * tokens() * layer.layer().topK();
    }

    /** Weights of experts with rows (gradients twice: they are added to), the rows on both sides. */
    @Override
    public double compulsoryBytes() {
        double experts = Arrays.stream(layer.topology().tokensPerExpert())
                .filter(load -> load > 0)
                .count();
        double rows = (double) tokens() * layer.layer().topK();
        double row = (double) layer.layer().hiddenSize() + layer.layer().ffnHiddenSize();
        return Float.BYTES * (experts * weightsPerExpert() * (product == Product.DDS ? 2 : 1) + rows * row);
    }
}
