package dev.dropless.blocksparse.contract;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ActivationMath;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.contract.Expected.Sum;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.topology.Topology;
import java.util.EnumMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Every operation of level 2 slot by slot in double precision, from operands as they are stored, with error bounds. */
final class ExpertOracle {

    private final int[] ids;
    private final Topology topology;
    private final ExpertShape shape;
    private final Activation activation;
    private final double unit;
    private final double activationError;
    private final Map<WeightPart, double[][][]> parts = new EnumMap<>(WeightPart.class);

    ExpertOracle(
            int[] ids,
            Topology topology,
            ExpertWeights weights,
            Activation activation,
            double unit,
            double activationError) {
        this.ids = ids;
        this.topology = topology;
        this.shape = weights.shape();
        this.activation = activation;
        this.unit = unit;
        this.activationError = activationError;
        for (WeightPart part : WeightPart.values()) {
            if (shape.has(part)) {
                double[][][] values = new double[shape.numExperts()][][];
                for (int e = 0; e < values.length; e++) {
                    values[e] = ExpertRun.store(weights, part, e);
                }
                parts.put(part, values);
            }
        }
    }

    private interface SlotVisitor {
        void visit(int token, int rank, int row, int expert);
    }

    private void forEachSlot(SlotVisitor visitor) {
        int k = topology.topK();
        for (int slot = 0; slot < ids.length; slot++) {
            if (ids[slot] >= 0) {
                visitor.visit(slot / k, slot % k, topology.rowOfSlot(slot), ids[slot]);
            }
        }
    }

    private static double weight(double @Nullable [][] slotWeights, int token, int rank) {
        return slotWeights == null ? 1 : slotWeights[token][rank];
    }

    /** Column p of the up-projections: gate columns first. */
    private double up(int expert, int h, int p) {
        int f = shape.ffnHiddenSize();
        return p < f ? parts.get(WeightPart.GATE)[expert][h][p] : parts.get(WeightPart.UP)[expert][h][p - f];
    }

    private double upBias(int expert, int p) {
        int f = shape.ffnHiddenSize();
        if (!shape.inputBias()) {
            return 0;
        }
        return p < f ? parts.get(WeightPart.GATE_BIAS)[expert][0][p] : parts.get(WeightPart.UP_BIAS)[expert][0][p - f];
    }

    private double down(int expert, int f, int h) {
        return parts.get(WeightPart.DOWN)[expert][f][h];
    }

    private double downBias(int expert, int h) {
        return shape.outputBias() ? parts.get(WeightPart.DOWN_BIAS)[expert][0][h] : 0;
    }

    Expected pre(double[][] x, double @Nullable [][] v) {
        Expected pre = new Expected(topology.rows(), shape.preActivations());
        forEachSlot((t, j, r, e) -> {
            for (int p = 0; p < shape.preActivations(); p++) {
                Sum sum = new Sum().add(1, upBias(e, p));
                for (int h = 0; h < shape.hiddenSize(); h++) {
                    sum.add(weight(v, t, j) * x[t][h], up(e, h, p));
                }
                pre.set(r, p, sum, unit);
            }
        });
        return pre;
    }

    /** Activations of pre-activations that may themselves be inexact. */
    Expected hidden(Expected pre) {
        int f = shape.ffnHiddenSize();
        Expected hidden = new Expected(topology.rows(), f);
        for (int r = 0; r < topology.rows(); r++) {
            for (int i = 0; i < f; i++) {
                double a = pre.value[r][i];
                double b = shape.gated() ? pre.value[r][f + i] : 0;
                double value =
                        shape.gated() ? ActivationMath.hidden(activation, a, b) : ActivationMath.hidden(activation, a);
                // |f'| <= 1.2 + 2|a| for every f, and beyond a kink the slope may be the one on its other side.
                double passed = (2 + 2 * Math.abs(a)) * (1 + Math.abs(b)) * pre.error[r][i];
                if (shape.gated()) {
                    passed += (2 + a * a) * pre.error[r][f + i];
                }
                hidden.value[r][i] = value;
                hidden.error[r][i] = passed + activationError * scale(a, b, value);
            }
        }
        return hidden;
    }

    /** What the relative error of an activation refers to: differences like 1 + tanh(a) cancel. */
    private double scale(double a, double b, double value) {
        return (1 + Math.abs(a)) * (1 + Math.abs(b) + Math.abs(activation.upOffset())) + Math.abs(value);
    }

    static Expected exact(double[][] values) {
        return new Expected(values);
    }

    Expected out(double[][] hidden) {
        Expected out = new Expected(topology.rows(), shape.hiddenSize());
        forEachSlot((t, j, r, e) -> {
            for (int h = 0; h < shape.hiddenSize(); h++) {
                Sum sum = new Sum().add(1, downBias(e, h));
                for (int f = 0; f < shape.ffnHiddenSize(); f++) {
                    sum.add(hidden[r][f], down(e, f, h));
                }
                out.set(r, h, sum, unit);
            }
        });
        return out;
    }

    /** Sum over each token's rows: combine, and the first half of aggregate. */
    Expected tokenSums(double[][] rows, double @Nullable [][] w, double[][] before) {
        Sum[][] sums = sums(before);
        forEachSlot((t, j, r, e) -> {
            for (int h = 0; h < sums[t].length; h++) {
                sums[t][h].add(weight(w, t, j), rows[r][h]);
            }
        });
        return expected(sums);
    }

    /** g of one row: dY Down^T. */
    private Sum[] hiddenGradient(int expert, double[] dToken) {
        Sum[] g = new Sum[shape.ffnHiddenSize()];
        for (int f = 0; f < g.length; f++) {
            g[f] = new Sum();
            for (int h = 0; h < dToken.length; h++) {
                g[f].add(dToken[h], down(expert, f, h));
            }
        }
        return g;
    }

    /** The hidden values have the given error, relative to each. */
    Expected dCombineWeights(double[][] dY, Expected hidden, double hiddenRounding) {
        Expected result = new Expected(topology.tokens(), topology.topK());
        forEachSlot((t, j, r, e) -> {
            Sum[] g = hiddenGradient(e, dY[t]);
            Sum sum = new Sum();
            double passed = 0;
            for (int f = 0; f < g.length; f++) {
                double value = hidden.value[r][f];
                sum.add(value, g[f]);
                passed += (hidden.error[r][f] + hiddenRounding * Math.abs(value)) * g[f].magnitude;
            }
            for (int h = 0; h < shape.hiddenSize(); h++) {
                sum.add(downBias(e, h), dY[t][h]);
            }
            result.set(t, j, sum, unit);
            result.error[t][j] += passed;
        });
        return result;
    }

    Expected dPre(double[][] dY, double @Nullable [][] w, double[][] pre) {
        int f = shape.ffnHiddenSize();
        Expected dPre = new Expected(topology.rows(), shape.preActivations());
        forEachSlot((t, j, r, e) -> {
            Sum[] g = hiddenGradient(e, dY[t]);
            for (int i = 0; i < f; i++) {
                double a = pre[r][i];
                Sum dHidden = new Sum().add(weight(w, t, j), g[i]);
                if (shape.gated()) {
                    double b = pre[r][f + i];
                    setScaled(dPre, r, i, dHidden, ActivationMath.dGate(activation, a, b), a, b);
                    setScaled(dPre, r, f + i, dHidden, ActivationMath.dUp(activation, a, b), a, b);
                } else {
                    setScaled(dPre, r, i, dHidden, ActivationMath.dHidden(activation, a), a, 0);
                }
            }
        });
        return dPre;
    }

    private void setScaled(Expected target, int i, int j, Sum sum, double slope, double a, double b) {
        target.value[i][j] = sum.value * slope;
        target.error[i][j] = sum.error(unit) * Math.abs(slope) + activationError * scale(a, b, slope) * sum.magnitude;
    }

    /** dDown of all experts, [E][F][H], added to what was there before. */
    Expected[] dDown(
            double[][] hidden, double[][] dY, double @Nullable [][] w, double[][][] before, double factorError) {
        return perExpert(before, factorError, (t, j, r, f, h) -> hidden[r][f] * weight(w, t, j) * dY[t][h]);
    }

    Expected[] dDownBias(double[][] dY, double @Nullable [][] w, double[][][] before) {
        return perExpert(before, 0, (t, j, r, row, h) -> weight(w, t, j) * dY[t][h]);
    }

    /** Columns of dPre from first on are those of the part. */
    Expected[] dUp(
            double[][] x,
            double @Nullable [][] v,
            double[][] dPre,
            int first,
            double[][][] before,
            double factorError) {
        return perExpert(before, factorError, (t, j, r, h, p) -> weight(v, t, j) * x[t][h] * dPre[r][first + p]);
    }

    Expected[] dUpBias(double[][] dPre, int first, double[][][] before) {
        return perExpert(before, 0, (t, j, r, row, p) -> dPre[r][first + p]);
    }

    private interface Term {
        double of(int token, int rank, int row, int i, int j);
    }

    /** Sums per expert; every term may have a relative error of its own beside those of the summation. */
    private Expected[] perExpert(double[][][] before, double termError, Term term) {
        if (before.length == 0) {
            return new Expected[0]; // the experts lack this part
        }
        Sum[][][] sums = new Sum[before.length][][];
        for (int e = 0; e < before.length; e++) {
            sums[e] = sums(before[e]);
        }
        forEachSlot((t, rank, r, e) -> {
            for (int i = 0; i < sums[e].length; i++) {
                for (int j = 0; j < sums[e][i].length; j++) {
                    sums[e][i][j].add(1, term.of(t, rank, r, i, j));
                }
            }
        });
        Expected[] expected = new Expected[before.length];
        for (int e = 0; e < before.length; e++) {
            expected[e] = topology.tokensPerExpert(e) == 0 ? exact(before[e]) : expected(sums[e]);
            if (topology.tokensPerExpert(e) > 0) {
                widen(expected[e], sums[e], termError);
            }
        }
        return expected;
    }

    private static void widen(Expected expected, Sum[][] sums, double termError) {
        for (int i = 0; i < sums.length; i++) {
            for (int j = 0; j < sums[i].length; j++) {
                expected.error[i][j] += termError * sums[i][j].magnitude;
            }
        }
    }

    Expected dRows(double[][] dPre) {
        Expected dRows = new Expected(topology.rows(), shape.hiddenSize());
        forEachSlot((t, j, r, e) -> {
            for (int h = 0; h < shape.hiddenSize(); h++) {
                Sum sum = new Sum();
                for (int p = 0; p < shape.preActivations(); p++) {
                    sum.add(dPre[r][p], up(e, h, p));
                }
                dRows.set(r, h, sum, unit);
            }
        });
        return dRows;
    }

    Expected dInputWeights(double[][] x, double[][] dRows) {
        Expected result = new Expected(topology.tokens(), topology.topK());
        forEachSlot((t, j, r, e) -> {
            Sum sum = new Sum();
            for (int h = 0; h < shape.hiddenSize(); h++) {
                sum.add(x[t][h], dRows[r][h]);
            }
            result.set(t, j, sum, unit);
        });
        return result;
    }

    private static Sum[][] sums(double[][] before) {
        Sum[][] sums = new Sum[before.length][];
        for (int i = 0; i < before.length; i++) {
            sums[i] = new Sum[before[i].length];
            for (int j = 0; j < before[i].length; j++) {
                sums[i][j] = new Sum().add(1, before[i][j]);
            }
        }
        return sums;
    }

    private Expected expected(Sum[][] sums) {
        Expected expected = new Expected(sums.length, sums.length == 0 ? 0 : sums[0].length);
        for (int i = 0; i < sums.length; i++) {
            for (int j = 0; j < sums[i].length; j++) {
                expected.set(i, j, sums[i][j], unit);
            }
        }
        return expected;
    }
}
