package dev.dropless.blocksparse.reference;

import static dev.dropless.blocksparse.reference.Doubles.add;
import static dev.dropless.blocksparse.reference.Doubles.dot;
import static dev.dropless.blocksparse.reference.Doubles.readRow;
import static dev.dropless.blocksparse.reference.Doubles.scale;
import static dev.dropless.blocksparse.reference.Doubles.writeRow;
import static dev.dropless.blocksparse.reference.Doubles.zeros;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ActivationMath;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.MemorySpace;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.ExpertOperands;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.topology.Topology;
import org.jspecify.annotations.Nullable;

/** Level 2: for every expert, for every row of that expert, the formulas of {@link ExpertKernels}. */
final class ReferenceExpertKernels implements ExpertKernels {

    private static final MemorySpace SPACE = MemorySpace.HOST;

    private record Plan(Topology topology) implements ExpertPlan {
        @Override
        public void close() {}
    }

    @Override
    public ExpertWeights allocate(ExpertShape shape, ElementType type) {
        return new ReferenceExpertWeights(shape, type);
    }

    /** What they stand for, in double precision. */
    @Override
    public ExpertWeights allocateInt8(ExpertShape shape) {
        return new ReferenceExpertWeights(shape, ElementType.F64, true);
    }

    @Override
    public ExpertPlan plan(Topology topology) {
        return new Plan(topology);
    }

    @Override
    public void up(
            ExpertPlan plan,
            Matrix x,
            @Nullable Matrix inputWeights,
            ExpertWeights weights,
            Activation activation,
            @Nullable Matrix pre,
            Matrix hidden) {
        Topology topology = plan.topology();
        ExpertOperands.up(SPACE, topology, x, inputWeights, weights.shape(), pre, hidden);
        for (int e = 0; e < topology.numExperts(); e++) {
            if (topology.tokensPerExpert(e) == 0) {
                continue;
            }
            Expert expert = Expert.of(weights, e);
            for (int r = topology.offset(e); r < topology.offset(e + 1); r++) {
                double[] input = scale(slot(inputWeights, topology, r), readRow(x, topology.tokenOfRow(r)));
                double[] values = expert.preActivations(input);
                if (pre != null) {
                    writeRow(values, pre, r, false);
                }
                writeRow(hidden(values, weights.shape().gated(), activation), hidden, r, false);
            }
        }
    }

    @Override
    public void down(ExpertPlan plan, Matrix hidden, ExpertWeights weights, Matrix out) {
        Topology topology = plan.topology();
        ExpertOperands.down(SPACE, topology, hidden, weights.shape(), out);
        for (int e = 0; e < topology.numExperts(); e++) {
            if (topology.tokensPerExpert(e) == 0) {
                continue;
            }
            Expert expert = Expert.of(weights, e);
            for (int r = topology.offset(e); r < topology.offset(e + 1); r++) {
                writeRow(expert.output(readRow(hidden, r)), out, r, false);
            }
        }
    }

    @Override
    public void combine(ExpertPlan plan, Matrix out, @Nullable Matrix combineWeights, Matrix y, boolean accumulate) {
        ExpertOperands.combine(SPACE, plan.topology(), out, combineWeights, y);
        sumRowsOfTokens(plan.topology(), out, combineWeights, y, accumulate);
    }

    @Override
    public void downDgrad(
            ExpertPlan plan,
            Matrix dY,
            @Nullable Matrix combineWeights,
            ExpertWeights weights,
            Activation activation,
            Matrix pre,
            Matrix hidden,
            boolean recomputeHidden,
            Matrix dPre,
            @Nullable Matrix dCombineWeights) {
        Topology topology = plan.topology();
        ExpertShape shape = weights.shape();
        ExpertOperands.trainable("weights", weights);
        ExpertOperands.downDgrad(
                SPACE, topology, dY, combineWeights, shape, pre, hidden, recomputeHidden, dPre, dCombineWeights);
        if (dCombineWeights != null) {
            dCombineWeights.fill(0); // unassigned slots
        }
        for (int e = 0; e < topology.numExperts(); e++) {
            if (topology.tokensPerExpert(e) == 0) {
                continue;
            }
            Expert expert = Expert.of(weights, e);
            for (int r = topology.offset(e); r < topology.offset(e + 1); r++) {
                double[] dToken = readRow(dY, topology.tokenOfRow(r));
                double[] values = readRow(pre, r);
                if (recomputeHidden) {
                    writeRow(hidden(values, shape.gated(), activation), hidden, r, false);
                }
                double[] g = expert.hiddenGradient(dToken); // of an output of weight one
                if (dCombineWeights != null) {
                    double gradient = dot(readRow(hidden, r), g) + dot(expert.downBias(), dToken);
                    setSlot(dCombineWeights, topology, r, gradient);
                }
                double[] dHidden = scale(slot(combineWeights, topology, r), g);
                writeRow(preActivationGradient(values, dHidden, shape.gated(), activation), dPre, r, false);
            }
        }
    }

    @Override
    public void downWgrad(
            ExpertPlan plan, Matrix hidden, Matrix dY, @Nullable Matrix combineWeights, ExpertWeights gradients) {
        Topology topology = plan.topology();
        ExpertOperands.trainable("gradients", gradients);
        ExpertOperands.downWgrad(SPACE, topology, hidden, dY, combineWeights, gradients.shape());
        ReferenceExpertWeights target = Expert.own(gradients);
        ExpertShape shape = target.shape();
        for (int e = 0; e < topology.numExperts(); e++) {
            double[][] dDown = zeros(shape.ffnHiddenSize(), shape.hiddenSize());
            double[] dBias = new double[shape.hiddenSize()];
            for (int r = topology.offset(e); r < topology.offset(e + 1); r++) {
                double[] dOut = scale(slot(combineWeights, topology, r), readRow(dY, topology.tokenOfRow(r)));
                addOuterProduct(readRow(hidden, r), dOut, dDown);
                add(1, dOut, dBias);
            }
            addTo(target, WeightPart.DOWN, e, dDown);
            addTo(target, WeightPart.DOWN_BIAS, e, new double[][] {dBias});
        }
    }

    @Override
    public void upDgrad(ExpertPlan plan, Matrix dPre, ExpertWeights weights, Matrix dRows) {
        Topology topology = plan.topology();
        ExpertOperands.trainable("weights", weights);
        ExpertOperands.upDgrad(SPACE, topology, dPre, weights.shape(), dRows);
        for (int e = 0; e < topology.numExperts(); e++) {
            if (topology.tokensPerExpert(e) == 0) {
                continue;
            }
            Expert expert = Expert.of(weights, e);
            for (int r = topology.offset(e); r < topology.offset(e + 1); r++) {
                writeRow(expert.inputGradient(readRow(dPre, r)), dRows, r, false);
            }
        }
    }

    @Override
    public void upWgrad(
            ExpertPlan plan, Matrix x, @Nullable Matrix inputWeights, Matrix dPre, ExpertWeights gradients) {
        Topology topology = plan.topology();
        ExpertOperands.trainable("gradients", gradients);
        ExpertOperands.upWgrad(SPACE, topology, x, inputWeights, dPre, gradients.shape());
        ReferenceExpertWeights target = Expert.own(gradients);
        ExpertShape shape = target.shape();
        int f = shape.ffnHiddenSize();
        addUp(topology, x, inputWeights, dPre.sliceColumns(0, f), target, WeightPart.GATE, WeightPart.GATE_BIAS);
        if (shape.gated()) {
            addUp(topology, x, inputWeights, dPre.sliceColumns(f, f), target, WeightPart.UP, WeightPart.UP_BIAS);
        }
    }

    /** Gradients of one of the two up-projections and its bias, from its columns of dPre. */
    private static void addUp(
            Topology topology,
            Matrix x,
            @Nullable Matrix inputWeights,
            Matrix dPre,
            ReferenceExpertWeights target,
            WeightPart weight,
            WeightPart bias) {
        ExpertShape shape = target.shape();
        for (int e = 0; e < topology.numExperts(); e++) {
            double[][] dWeight = zeros(shape.hiddenSize(), shape.ffnHiddenSize());
            double[] dBias = new double[shape.ffnHiddenSize()];
            for (int r = topology.offset(e); r < topology.offset(e + 1); r++) {
                double[] input = scale(slot(inputWeights, topology, r), readRow(x, topology.tokenOfRow(r)));
                double[] d = readRow(dPre, r);
                addOuterProduct(input, d, dWeight);
                add(1, d, dBias);
            }
            addTo(target, weight, e, dWeight);
            addTo(target, bias, e, new double[][] {dBias});
        }
    }

    @Override
    public void aggregate(
            ExpertPlan plan,
            Matrix dRows,
            @Nullable Matrix inputWeights,
            @Nullable Matrix x,
            Matrix dX,
            boolean accumulate,
            @Nullable Matrix dInputWeights) {
        Topology topology = plan.topology();
        ExpertOperands.aggregate(SPACE, topology, dRows, inputWeights, x, dX, dInputWeights);
        sumRowsOfTokens(topology, dRows, inputWeights, dX, accumulate);
        if (dInputWeights != null && x != null) {
            dInputWeights.fill(0); // unassigned slots
            for (int r = 0; r < topology.rows(); r++) {
                setSlot(dInputWeights, topology, r, dot(readRow(x, topology.tokenOfRow(r)), readRow(dRows, r)));
            }
        }
    }

    /** y[t] (+)= sum over j of w[t,j] rows[row(t,j)]. */
    private static void sumRowsOfTokens(
            Topology topology, Matrix rows, @Nullable Matrix slotWeights, Matrix y, boolean accumulate) {
        for (int t = 0; t < topology.tokens(); t++) {
            double[] sum = new double[Math.toIntExact(y.columns())];
            for (int j = 0; j < topology.topK(); j++) {
                int row = topology.rowOfSlot(t * topology.topK() + j);
                if (row != Topology.UNASSIGNED) {
                    add(slot(slotWeights, topology, row), readRow(rows, row), sum);
                }
            }
            writeRow(sum, y, t, accumulate);
        }
    }

    @Override
    public void activate(Activation activation, boolean gated, Matrix pre, Matrix hidden) {
        ExpertOperands.activate(SPACE, gated, pre, hidden);
        for (long r = 0; r < hidden.rows(); r++) {
            writeRow(hidden(readRow(pre, r), gated, activation), hidden, r, false);
        }
    }

    @Override
    public void activateBackward(Activation activation, boolean gated, Matrix pre, Matrix dHidden, Matrix dPre) {
        ExpertOperands.activateBackward(SPACE, gated, pre, dHidden, dPre);
        for (long r = 0; r < dHidden.rows(); r++) {
            double[] gradient = preActivationGradient(readRow(pre, r), readRow(dHidden, r), gated, activation);
            writeRow(gradient, dPre, r, false);
        }
    }

    private static double[] hidden(double[] pre, boolean gated, Activation activation) {
        double[] hidden = new double[gated ? pre.length / 2 : pre.length];
        for (int i = 0; i < hidden.length; i++) {
            hidden[i] = gated
                    ? ActivationMath.hidden(activation, pre[i], pre[hidden.length + i])
                    : ActivationMath.hidden(activation, pre[i]);
        }
        return hidden;
    }

    private static double[] preActivationGradient(
            double[] pre, double[] dHidden, boolean gated, Activation activation) {
        int f = dHidden.length;
        double[] dPre = new double[pre.length];
        for (int i = 0; i < f; i++) {
            if (gated) {
                dPre[i] = dHidden[i] * ActivationMath.dGate(activation, pre[i], pre[f + i]);
                dPre[f + i] = dHidden[i] * ActivationMath.dUp(activation, pre[i], pre[f + i]);
            } else {
                dPre[i] = dHidden[i] * ActivationMath.dHidden(activation, pre[i]);
            }
        }
        return dPre;
    }

    /** sum += x^T y. */
    private static void addOuterProduct(double[] x, double[] y, double[][] sum) {
        for (int i = 0; i < x.length; i++) {
            add(x[i], y, sum[i]);
        }
    }

    private static void addTo(ReferenceExpertWeights target, WeightPart part, int expert, double[][] values) {
        if (target.shape().has(part)) {
            Doubles.write(values, target.matrix(part, expert), true);
        }
    }

    private static double slot(@Nullable Matrix slotWeights, Topology topology, int row) {
        if (slotWeights == null) {
            return 1;
        }
        int slot = topology.slotOfRow(row);
        return slotWeights.get(slot / topology.topK(), slot % topology.topK());
    }

    private static void setSlot(Matrix slotWeights, Topology topology, int row, double value) {
        int slot = topology.slotOfRow(row);
        slotWeights.set(slot / topology.topK(), slot % topology.topK(), value);
    }
}
