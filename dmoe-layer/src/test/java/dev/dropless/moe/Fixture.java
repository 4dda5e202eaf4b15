package dev.dropless.moe;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.reference.ReferenceBackend;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.loss.LossValue;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Small helpers shared by the tests of this package and of the padded baseline. */
public final class Fixture {

    private Fixture() {}

    public static Kernels reference() {
        return new ReferenceBackend().open(BackendOptions.threads(1));
    }

    public static double[] gaussian(Random random, int count, double deviation) {
        double[] values = new double[count];
        Arrays.setAll(values, i -> deviation * random.nextGaussian());
        return values;
    }

    public static Matrix normal(Random random, int rows, int columns) {
        return Matrix.of(gaussian(random, rows * columns, 1), rows, columns);
    }

    /** A heap matrix full of NaN, with room around every row that must stay NaN. */
    public static Matrix poisoned(ElementType type, int rows, int columns) {
        int stride = columns + 3;
        Matrix whole = Matrix.of(
                java.lang.foreign.MemorySegment.ofArray(new byte[(rows + 1) * stride * type.bytes()]),
                type,
                rows + 1,
                stride);
        whole.fill(Double.NaN);
        return whole.slice(0, rows, 1, columns);
    }

    public static Matrix copyAs(ElementType type, Matrix source) {
        Matrix copy = poisoned(type, (int) source.rows(), (int) source.columns());
        copy.copyFrom(source);
        return copy;
    }

    /** Normal weights of deviation 0.5 and biases, different for every seed, rounded to the layer's own types. */
    public static void randomize(MoeParameters parameters, long seed) {
        new MoeInitializer(0.5, 0.5).initialize(parameters, seed);
        Random random = new Random(seed);
        for (Matrix bias :
                new @Nullable Matrix[] {parameters.routerBias(), parameters.outputBias(), parameters.selectionBias()}) {
            if (bias != null) {
                bias.copyFrom(normal(random, 1, (int) bias.columns()));
            }
        }
        for (ExpertWeights weights : new @Nullable ExpertWeights[] {parameters.experts(), parameters.shared()}) {
            for (WeightPart part : WeightPart.values()) {
                for (int e = 0;
                        weights != null
                                && weights.shape().has(part)
                                && e < weights.shape().numExperts();
                        e++) {
                    if (part.name().endsWith("BIAS")) {
                        weights.load(part, e, normal(random, 1, weights.shape().columns(part)), Transpose.N);
                    }
                }
            }
        }
    }

    /** Copies all parameters between layers of the same configuration, whatever their types and back ends. */
    public static void copy(MoeParameters source, MoeParameters target) {
        List<Matrix> from = named(source);
        List<Matrix> to = named(target);
        for (int i = 0; i < from.size(); i++) {
            to.get(i).copyFrom(from.get(i));
        }
        copy(source.experts(), target.experts());
        if (source.shared() != null && target.shared() != null) {
            copy(source.shared(), target.shared());
        }
    }

    private static List<Matrix> named(MoeParameters p) {
        List<Matrix> all = new ArrayList<>();
        for (Matrix m : new @Nullable Matrix[] {
            p.routerWeight(),
            p.routerBias(),
            p.selectionBias(),
            p.noiseWeight(),
            p.sharedGate(),
            p.latentIn(),
            p.latentOut(),
            p.outputBias()
        }) {
            if (m != null) {
                all.add(m);
            }
        }
        return all;
    }

    private static void copy(ExpertWeights source, ExpertWeights target) {
        for (WeightPart part : WeightPart.values()) {
            for (int e = 0; source.shape().has(part) && e < source.shape().numExperts(); e++) {
                target.load(part, e, part(source, part, e), Transpose.N);
            }
        }
    }

    public static Matrix part(ExpertWeights weights, WeightPart part, int expert) {
        int rows = weights.shape().rows(part);
        int columns = weights.shape().columns(part);
        Matrix values = Matrix.of(new double[rows * columns], rows, columns);
        weights.store(part, expert, values, Transpose.N);
        return values;
    }

    /** What one forward and backward gave, as doubles; tensors in a fixed order. */
    public record Result(double[] y, double[] dX, List<double[]> gradients) {}

    public static Result run(
            MoeLayer layer, Matrix x, Matrix dY, ForwardOptions options, MemoryPolicy policy, Losses losses) {
        return run(layer, x, dY, options, policy, losses, ElementType.F64, Trainable.all());
    }

    /** Auxiliary losses of a routing. */
    @FunctionalInterface
    public interface Losses {
        List<LossValue> of(dev.dropless.moe.router.Routing routing);

        Losses NONE = routing -> List.of();
    }

    public static Result run(
            MoeLayer layer,
            Matrix x,
            Matrix dY,
            ForwardOptions options,
            MemoryPolicy policy,
            Losses losses,
            ElementType outputType,
            Set<Trainable> trainable) {
        int tokens = (int) x.rows();
        int hidden = (int) x.columns();
        Matrix y = poisoned(outputType, tokens, hidden);
        Matrix dX = poisoned(outputType, tokens, hidden);
        try (MoeGradients gradients = layer.newGradients(trainable, outputType)) {
            SavedState saved = layer.forwardTraining(x, y, options, policy, trainable);
            layer.backward(
                    saved, dY, trainable.contains(Trainable.INPUT) ? dX : null, gradients, losses.of(saved.routing()));
            return new Result(y.toDoubles(), dX.toDoubles(), tensors(gradients));
        }
    }

    /** All gradients in an order and layout that do not depend on the back end: matrices, routed experts part by part, shared expert. */
    public static List<double[]> tensors(MoeGradients gradients) {
        List<double[]> all = new ArrayList<>();
        for (Matrix matrix : new @Nullable Matrix[] {
            gradients.routerWeight(),
            gradients.routerBias(),
            gradients.noiseWeight(),
            gradients.sharedGate(),
            gradients.latentIn(),
            gradients.latentOut(),
            gradients.outputBias()
        }) {
            if (matrix != null) {
                all.add(matrix.toDoubles());
            }
        }
        for (ExpertWeights weights : new @Nullable ExpertWeights[] {gradients.experts(), gradients.shared()}) {
            for (WeightPart part : WeightPart.values()) {
                if (weights != null && weights.shape().has(part)) {
                    all.add(everyExpert(weights, part));
                }
            }
        }
        return all;
    }

    private static double[] everyExpert(ExpertWeights weights, WeightPart part) {
        int size = weights.shape().rows(part) * weights.shape().columns(part);
        double[] values = new double[size * weights.shape().numExperts()];
        for (int e = 0; e < weights.shape().numExperts(); e++) {
            System.arraycopy(part(weights, part, e).toDoubles(), 0, values, e * size, size);
        }
        return values;
    }

    /** ||a - b|| / ||b||, or ||a - b|| where b is zero. */
    public static double error(double[] a, double[] b) {
        double difference = 0;
        double norm = 0;
        for (int i = 0; i < b.length; i++) {
            difference += (a[i] - b[i]) * (a[i] - b[i]);
            norm += b[i] * b[i];
        }
        return Math.sqrt(norm == 0 ? difference : difference / norm);
    }

    public static double error(Result a, Result b) {
        double worst = Math.max(error(a.y, b.y), error(a.dX, b.dX));
        for (int i = 0; i < b.gradients.size(); i++) {
            worst = Math.max(worst, error(a.gradients.get(i), b.gradients.get(i)));
        }
        return worst;
    }
}
