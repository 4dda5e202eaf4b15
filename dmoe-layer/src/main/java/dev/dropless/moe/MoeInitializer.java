package dev.dropless.moe;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.KernelMemory;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/**
 * Initial values as MegaBlocks has them: every weight matrix normal with mean 0, biases 0. Values depend on seed, tensor and position only, not on
 * the back end or the storage type (up to rounding).
 *
 * @param std standard deviation of router, gate, up and latent input weights; MegaBlocks' default is 0.02
 * @param outputStd standard deviation of down and latent output weights; often std / sqrt(2 * layers)
 */
public record MoeInitializer(double std, double outputStd) {

    /** MegaBlocks' default: 0.02 everywhere. */
    public static final MoeInitializer DEFAULT = new MoeInitializer(0.02, 0.02);

    /**
     * Checks the deviations.
     *
     * @throws IllegalArgumentException if one is negative or no number
     */
    public MoeInitializer {
        check("std", std);
        check("outputStd", outputStd);
    }

    private static void check(String argument, double value) {
        if (!(value >= 0 && value < Double.POSITIVE_INFINITY)) {
            throw new IllegalArgumentException(
                    "%s: expected a number of at least 0, found %s".formatted(argument, value));
        }
    }

    /**
     * Fills all parameters.
     *
     * @param parameters overwritten
     * @param seed same seed, same values
     */
    public void initialize(MoeParameters parameters, long seed) {
        parameters.clearAll();
        var random = new SplittableRandom(seed);
        KernelMemory memory = parameters.memory();
        fill(memory, parameters.routerWeight(), random, std);
        fill(memory, parameters.noiseWeight(), random, std);
        fill(memory, parameters.sharedGate(), random, std);
        fill(memory, parameters.latentIn(), random, std);
        fill(memory, parameters.latentOut(), random, outputStd);
        fill(parameters.experts(), random);
        fill(parameters.shared(), random);
        Matrix selectionBias = parameters.selectionBias();
        if (selectionBias != null) {
            memory.copy(
                    Matrix.of(new double[(int) selectionBias.columns()], 1, selectionBias.columns()), selectionBias);
        }
    }

    private static void fill(KernelMemory memory, @Nullable Matrix matrix, SplittableRandom random, double deviation) {
        if (matrix == null) {
            return;
        }
        double[] row = new double[(int) matrix.columns()];
        for (long i = 0; i < matrix.rows(); i++) {
            draw(row, random, deviation);
            memory.copy(Matrix.of(row, 1, row.length), matrix.sliceRows(i, 1));
        }
    }

    private void fill(@Nullable ExpertWeights weights, SplittableRandom random) {
        if (weights == null) {
            return;
        }
        for (WeightPart part : new WeightPart[] {WeightPart.GATE, WeightPart.UP, WeightPart.DOWN}) {
            for (int e = 0; weights.shape().has(part) && e < weights.shape().numExperts(); e++) {
                int rows = weights.shape().rows(part);
                int columns = weights.shape().columns(part);
                double[] values = new double[Math.multiplyExact(rows, columns)];
                draw(values, random, part == WeightPart.DOWN ? outputStd : std);
                weights.load(part, e, Matrix.of(values, rows, columns), Transpose.N);
            }
        }
    }

    private static void draw(double[] values, SplittableRandom random, double deviation) {
        for (int i = 0; i < values.length; i++) {
            values[i] = deviation * random.nextGaussian();
        }
    }
}
