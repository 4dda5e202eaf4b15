package dev.dropless.benchmarks;

import dev.dropless.blocksparse.ActivationMath;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.topology.Topology;
import java.util.Arrays;

/**
 * A part of an operation's results in double precision, from the definition: what belongs to three tokens and all their
 * rows; of weight gradients one row or column of the busiest expert, which sums over all its rows. Inputs are taken as they
 * are in memory, so that an operation answers for its own rounding only.
 */
final class OperationCheck {

    /**
     * What an operation reads and writes; matrices that it does not use have no rows.
     *
     * @param x tokens [T, H]
     * @param dY gradient of the output [T, H]
     * @param combineWeights w [T, k]
     * @param pre pre-activations [N, P]
     * @param hidden activations [N, F]
     * @param dPre gradient of the pre-activations [N, P]
     * @param rows expert outputs, or the gradient of each row's input [N, H]
     * @param y output [T, H]
     * @param dX gradient of the input [T, H]
     * @param dCombineWeights gradient of w [T, k]
     * @param gradients of weights
     */
    record Operands(
            Matrix x,
            Matrix dY,
            Matrix combineWeights,
            Matrix pre,
            Matrix hidden,
            Matrix dPre,
            Matrix rows,
            Matrix y,
            Matrix dX,
            Matrix dCombineWeights,
            ExpertWeights gradients) {}

    private final OperationTask task;
    private final LayerTask layer;
    private final Operands in;
    private final Topology topology;
    private final int ffn;
    private double worst;

    private OperationCheck(OperationTask task, Operands operands) {
        this.task = task;
        this.layer = task.layer();
        this.in = operands;
        this.topology = layer.topology();
        this.ffn = layer.layer().ffnHiddenSize();
    }

    /**
     * Compares.
     *
     * @param task what was to be computed
     * @param operands what it was computed from, and what was computed
     * @return largest error relative to the largest magnitude of its row
     * @throws Arm.CheckFailed if it is above {@link LayerCheck#tolerance}
     */
    static double check(OperationTask task, Operands operands) {
        OperationCheck check = new OperationCheck(task, operands);
        switch (task.operation()) {
            case FORWARD, FORWARD_BACKWARD -> {
                boolean backward = task.operation().backward();
                return LayerCheck.check(
                        task.layer(),
                        new LayerCheck.Results(
                                check.topology,
                                operands.y(),
                                backward ? operands.dX() : null,
                                backward ? operands.gradients() : null));
            }
            case DOWN_WGRAD -> check.downWgrad();
            case UP_WGRAD -> check.upWgrad();
            default -> check.tokens();
        }
        return check.worst;
    }

    private void tokens() {
        int last = layer.tokens() - 1;
        for (int token : Arrays.stream(new int[] {0, last / 2, last}).distinct().toArray()) {
            switch (task.operation()) {
                case COMBINE -> compare("y", in.y(), token, sum(token, true));
                case AGGREGATE -> compare("dX", in.dX(), token, sum(token, false));
                case DOWN_DGRAD -> downDgrad(token);
                default -> {
                    for (int slot = token * topology.topK(); slot < (token + 1) * topology.topK(); slot++) {
                        row(token, topology.rowOfSlot(slot));
                    }
                }
            }
        }
    }

    private double[] sum(int token, boolean weighted) {
        double[] sum = new double[(int) in.rows().columns()];
        for (int rank = 0; rank < topology.topK(); rank++) {
            double weight = weighted ? in.combineWeights().get(token, rank) : 1;
            double[] row = LayerCheck.row(in.rows(), topology.rowOfSlot(token * topology.topK() + rank));
            for (int h = 0; h < sum.length; h++) {
                sum[h] += weight * row[h];
            }
        }
        return sum;
    }

    private void row(int token, int r) {
        int expert = topology.expertOfRow(r);
        switch (task.operation()) {
            case UP -> up(token, r, expert);
            case DOWN ->
                compare("out", in.rows(), r, times(LayerCheck.row(in.hidden(), r), weights(WeightPart.DOWN, expert)));
            case UP_DGRAD -> {
                double[] dPre = LayerCheck.row(in.dPre(), r);
                double[] dRow = timesTransposed(Arrays.copyOf(dPre, ffn), weights(WeightPart.GATE, expert));
                if (layer.layer().gated()) {
                    double[] further =
                            timesTransposed(Arrays.copyOfRange(dPre, ffn, 2 * ffn), weights(WeightPart.UP, expert));
                    Arrays.setAll(dRow, h -> dRow[h] + further[h]);
                }
                compare("dRows", in.rows(), r, dRow);
            }
            default -> throw new IllegalStateException("not computed by rows: " + task.operation());
        }
    }

    private void up(int token, int r, int expert) {
        double[] x = LayerCheck.row(in.x(), token);
        double[] a = times(x, weights(WeightPart.GATE, expert));
        double[] b = layer.layer().gated() ? times(x, weights(WeightPart.UP, expert)) : new double[0];
        if (in.pre().rows() > 0) {
            double[] pre = Arrays.copyOf(a, a.length + b.length);
            System.arraycopy(b, 0, pre, a.length, b.length);
            compare("pre", in.pre(), r, pre);
        }
        double[] hidden = new double[ffn];
        Arrays.setAll(hidden, f -> hidden(a[f], b.length == 0 ? 0 : b[f]));
        compare("hidden", in.hidden(), r, hidden);
    }

    private double hidden(double a, double b) {
        return layer.layer().gated()
                ? ActivationMath.hidden(layer.layer().activation(), a, b)
                : ActivationMath.hidden(layer.layer().activation(), a);
    }

    /** A token's gradients of its k weights are compared together: one alone may be next to zero. */
    private void downDgrad(int token) {
        int k = topology.topK();
        boolean gated = layer.layer().gated();
        double[] dY = LayerCheck.row(in.dY(), token);
        double[] dWeights = new double[k];
        for (int rank = 0; rank < k; rank++) {
            int r = topology.rowOfSlot(token * k + rank);
            double weight = in.combineWeights().get(token, rank);
            double[] g = timesTransposed(dY, weights(WeightPart.DOWN, topology.expertOfRow(r)));
            double[] pre = LayerCheck.row(in.pre(), r);
            double[] dPre = new double[pre.length];
            double[] hidden = new double[ffn];
            for (int f = 0; f < ffn; f++) {
                double b = gated ? pre[ffn + f] : 0;
                hidden[f] = hidden(pre[f], b);
                dWeights[rank] += hidden[f] * g[f];
                var activation = layer.layer().activation();
                dPre[f] = weight
                        * g[f]
                        * (gated
                                ? ActivationMath.dGate(activation, pre[f], b)
                                : ActivationMath.dHidden(activation, pre[f]));
                if (gated) {
                    dPre[ffn + f] = weight * g[f] * ActivationMath.dUp(activation, pre[f], b);
                }
            }
            compare("hidden", in.hidden(), r, hidden);
            compare("dPre", in.dPre(), r, dPre);
        }
        compare("dCombineWeights", in.dCombineWeights(), token, dWeights);
    }

    /** The expert with most rows. */
    static int busiest(Topology topology) {
        int busiest = 0;
        for (int e = 1; e < topology.numExperts(); e++) {
            busiest = topology.tokensPerExpert(e) > topology.tokensPerExpert(busiest) ? e : busiest;
        }
        return busiest;
    }

    private void downWgrad() {
        int expert = busiest(topology);
        int f = ffn / 2;
        double[] dDown = new double[(int) in.dY().columns()];
        for (int r = topology.offset(expert); r < topology.offset(expert + 1); r++) {
            int token = topology.tokenOfRow(r);
            double weight = in.combineWeights().get(token, topology.slotOfRow(r) % topology.topK());
            addScaled(weight * in.hidden().get(r, f), LayerCheck.row(in.dY(), token), dDown);
        }
        compare("dDown[" + f + "]", LayerCheck.exported(in.gradients(), WeightPart.DOWN, expert, f), dDown);
    }

    private void upWgrad() {
        int expert = busiest(topology);
        int f = ffn / 2;
        double[] dGate = new double[(int) in.x().columns()];
        double[] dUp = new double[dGate.length];
        for (int r = topology.offset(expert); r < topology.offset(expert + 1); r++) {
            double[] x = LayerCheck.row(in.x(), topology.tokenOfRow(r));
            addScaled(in.dPre().get(r, f), x, dGate);
            if (layer.layer().gated()) {
                addScaled(in.dPre().get(r, ffn + f), x, dUp);
            }
        }
        compare("dGate[:, " + f + "]", LayerCheck.exported(in.gradients(), WeightPart.GATE, expert, f), dGate);
        if (layer.layer().gated()) {
            compare("dUp[:, " + f + "]", LayerCheck.exported(in.gradients(), WeightPart.UP, expert, f), dUp);
        }
    }

    static void addScaled(double factor, double[] x, double[] sum) {
        for (int i = 0; i < sum.length; i++) {
            sum[i] += factor * x[i];
        }
    }

    private float[] weights(WeightPart part, int expert) {
        return layer.weights(part, expert);
    }

    /** A row times a matrix. */
    static double[] times(double[] row, float[] matrix) {
        int columns = matrix.length / row.length;
        double[] sums = new double[columns];
        for (int p = 0; p < row.length; p++) {
            for (int j = 0; j < columns; j++) {
                sums[j] += row[p] * matrix[p * columns + j];
            }
        }
        return sums;
    }

    /** A row times the transpose of a matrix. */
    static double[] timesTransposed(double[] row, float[] matrix) {
        double[] sums = new double[matrix.length / row.length];
        for (int i = 0; i < sums.length; i++) {
            for (int j = 0; j < row.length; j++) {
                sums[i] += row[j] * matrix[i * row.length + j];
            }
        }
        return sums;
    }

    private void compare(String what, Matrix found, int row, double[] expected) {
        compare("%s[%d]".formatted(what, row), LayerCheck.row(found, row), expected);
    }

    private void compare(String what, double[] found, double[] expected) {
        worst = Math.max(worst, LayerCheck.worstError(what, found, expected, LayerCheck.tolerance(layer)));
    }
}
