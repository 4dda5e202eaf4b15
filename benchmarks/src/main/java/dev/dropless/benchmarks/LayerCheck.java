package dev.dropless.benchmarks;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ActivationMath;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.topology.Topology;
import java.lang.foreign.Arena;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * A part of a layer's results in double precision, from the definition: y and dX of a few tokens, and of the busiest
 * expert one row of dDown and one column of dGate and dUp, which sum over all its rows.
 */
public final class LayerCheck {

    private static final int TOKENS = 3;

    private final LayerTask task;
    private final Topology computed;
    private final int hiddenSize;
    private final int ffn;
    private double worst;

    private LayerCheck(LayerTask task, Topology computed) {
        this.task = task;
        this.computed = computed;
        this.hiddenSize = task.layer().hiddenSize();
        this.ffn = task.layer().ffnHiddenSize();
    }

    /**
     * What an arm computed.
     *
     * @param computed the slots that were computed: all, or those within a capacity
     * @param y output [T, H]
     * @param dX gradient of the input [T, H], or null without backward
     * @param gradients gradients of one single backward, or null
     */
    public record Results(
            Topology computed,
            Matrix y,
            @Nullable Matrix dX,
            @Nullable ExpertWeights gradients) {}

    /**
     * Compares.
     *
     * @param task what was to be computed
     * @param results what was computed
     * @return largest error relative to the largest magnitude of its row
     * @throws Arm.CheckFailed if it is above 1e-4, or 4e-2 with bf16
     */
    public static double check(LayerTask task, Results results) {
        LayerCheck check = new LayerCheck(task, results.computed());
        try (Arena arena = Arena.ofConfined()) {
            Matrix x = task.newInput(arena);
            Matrix dY = task.newOutputGradient(arena);
            for (int token : IntStream.of(0, task.tokens() / 2, task.tokens() - 1)
                    .distinct()
                    .limit(TOKENS)
                    .toArray()) {
                check.token(token, x, dY, results);
            }
            if (results.gradients() != null) {
                check.weightGradients(x, dY, results.gradients());
            }
        }
        return check.worst;
    }

    /** One expert's weights and one row's way through it. */
    private final class Row {
        final float[] gate;
        final float[] up;
        final float[] down;
        final double[] a = new double[ffn];
        final double[] b = new double[ffn];
        final double[] hidden = new double[ffn];

        Row(int expert, double[] x) {
            gate = task.weights(WeightPart.GATE, expert);
            up = task.layer().gated() ? task.weights(WeightPart.UP, expert) : new float[0];
            down = task.weights(WeightPart.DOWN, expert);
            for (int h = 0; h < hiddenSize; h++) {
                for (int f = 0; f < ffn; f++) {
                    a[f] += x[h] * gate[h * ffn + f];
                    b[f] += up.length == 0 ? 0 : x[h] * up[h * ffn + f];
                }
            }
            for (int f = 0; f < ffn; f++) {
                hidden[f] = hidden(a[f], b[f]);
            }
        }
    }

    private Activation activation() {
        return task.layer().activation();
    }

    private double hidden(double a, double b) {
        return task.layer().gated()
                ? ActivationMath.hidden(activation(), a, b)
                : ActivationMath.hidden(activation(), a);
    }

    private double dGate(double a, double b) {
        return task.layer().gated()
                ? ActivationMath.dGate(activation(), a, b)
                : ActivationMath.dHidden(activation(), a);
    }

    private void token(int token, Matrix x, Matrix dY, Results results) {
        double[] y = new double[hiddenSize];
        double[] dX = new double[hiddenSize];
        double[] input = row(x, token);
        double[] gradient = row(dY, token);
        float[] weights = task.combineWeights();
        for (int slot = token * computed.topK(); slot < (token + 1) * computed.topK(); slot++) {
            int r = computed.rowOfSlot(slot);
            if (r == Topology.UNASSIGNED) {
                continue;
            }
            Row row = new Row(computed.expertOfRow(r), input);
            for (int f = 0; f < ffn; f++) {
                double g = 0;
                for (int h = 0; h < hiddenSize; h++) {
                    y[h] += weights[slot] * row.hidden[f] * row.down[f * hiddenSize + h];
                    g += weights[slot] * gradient[h] * row.down[f * hiddenSize + h];
                }
                double da = g * dGate(row.a[f], row.b[f]);
                double db = row.up.length == 0 ? 0 : g * ActivationMath.dUp(activation(), row.a[f], row.b[f]);
                for (int h = 0; results.dX() != null && h < hiddenSize; h++) {
                    dX[h] += da * row.gate[h * ffn + f] + (db == 0 ? 0 : db * row.up[h * ffn + f]);
                }
            }
        }
        compare("y[" + token + "]", row(results.y(), token), y);
        if (results.dX() != null) {
            compare("dX[" + token + "]", row(results.dX(), token), dX);
        }
    }

    /** For one unit f of the busiest expert: dDown[f, :], dGate[:, f], dUp[:, f]. */
    private void weightGradients(Matrix x, Matrix dY, ExpertWeights gradients) {
        int expert = IntStream.range(0, computed.numExperts())
                .reduce(0, (p, q) -> computed.tokensPerExpert(q) > computed.tokensPerExpert(p) ? q : p);
        int f = ffn / 2;
        float[] gate = task.weights(WeightPart.GATE, expert);
        float[] up = task.layer().gated() ? task.weights(WeightPart.UP, expert) : new float[0];
        float[] down = task.weights(WeightPart.DOWN, expert);
        float[] weights = task.combineWeights();
        double[] dGate = new double[hiddenSize];
        double[] dUp = new double[hiddenSize];
        double[] dDown = new double[hiddenSize];
        for (int r = computed.offset(expert); r < computed.offset(expert + 1); r++) {
            double[] input = row(x, computed.tokenOfRow(r));
            double[] gradient = row(dY, computed.tokenOfRow(r));
            double weight = weights[computed.slotOfRow(r)];
            double a = 0;
            double b = 0;
            double g = 0;
            for (int h = 0; h < hiddenSize; h++) {
                a += input[h] * gate[h * ffn + f];
                b += up.length == 0 ? 0 : input[h] * up[h * ffn + f];
                g += weight * gradient[h] * down[f * hiddenSize + h];
            }
            double da = g * dGate(a, b);
            double db = up.length == 0 ? 0 : g * ActivationMath.dUp(activation(), a, b);
            for (int h = 0; h < hiddenSize; h++) {
                dGate[h] += da * input[h];
                dUp[h] += db * input[h];
                dDown[h] += weight * hidden(a, b) * gradient[h];
            }
        }
        compare("dGate[:, " + f + "]", exported(gradients, WeightPart.GATE, expert, f), dGate);
        compare("dDown[" + f + "]", exported(gradients, WeightPart.DOWN, expert, f), dDown);
        if (task.layer().gated()) {
            compare("dUp[:, " + f + "]", exported(gradients, WeightPart.UP, expert, f), dUp);
        }
    }

    /** Row f of [F, H], column f of [H, F]: the latter is exported transposed. */
    static double[] exported(ExpertWeights gradients, WeightPart part, int expert, int f) {
        int ffn = gradients.shape().ffnHiddenSize();
        int hiddenSize = gradients.shape().hiddenSize();
        float[] values = new float[Math.multiplyExact(ffn, hiddenSize)];
        Matrix target = Matrix.of(values, ffn, hiddenSize);
        gradients.store(part, expert, target, part == WeightPart.DOWN ? Transpose.N : Transpose.T);
        return row(target, f);
    }

    static double[] row(Matrix matrix, int row) {
        double[] values = new double[(int) matrix.columns()];
        for (int j = 0; j < values.length; j++) {
            values[j] = matrix.get(row, j);
        }
        return values;
    }

    private void compare(String what, double[] found, double[] expected) {
        worst = Math.max(worst, worstError(what, found, expected, tolerance(task)));
    }

    /** What an arm may be off by, relative to the largest magnitude: that of the narrower type, or of long sums. */
    static double tolerance(LayerTask task) {
        return task.type() == ElementType.BF16 ? 4e-2 : 1e-4;
    }

    /** Largest difference relative to the largest magnitude expected. */
    static double worstError(String what, double[] found, double[] expected, double tolerance) {
        double scale = 1e-30;
        for (double value : expected) {
            scale = Math.max(scale, Math.abs(value));
        }
        double worst = 0;
        for (int i = 0; i < expected.length; i++) {
            double error = Math.abs(found[i] - expected[i]) / scale;
            if (!(error <= tolerance)) {
                throw new Arm.CheckFailed("%s, element %d: expected %g +- %g, found %g"
                        .formatted(what, i, expected[i], tolerance * scale, found[i]));
            }
            worst = Math.max(worst, error);
        }
        return worst;
    }
}
