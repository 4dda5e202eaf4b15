package dev.dropless.moe;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ActivationMath;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.moe.router.RouterInput;
import dev.dropless.moe.router.Routing;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** The formulas of {@link MoeConfig}, one token at a time, in double precision: what the layer's forward pass must equal. */
final class NaiveLayer {

    private final MoeConfig config;
    private final MoeParameters parameters;

    NaiveLayer(MoeConfig config, MoeParameters parameters) {
        this.config = config;
        this.parameters = parameters;
    }

    /** Returns y [T, H]; without jitter. */
    double[] forward(Matrix x, ForwardOptions options) {
        int tokens = (int) x.rows();
        Routing routing = route(x, options);
        double[] y = new double[tokens * config.hiddenSize()];
        for (int t = 0; t < tokens; t++) {
            double[] token = x.sliceRows(t, 1).toDoubles();
            double[] result = scaled(config.combination().routedFactor(config.topK()), routed(token, t, routing));
            SharedExpert shared = config.shared();
            if (shared != null) {
                add(scaled(config.combination().sharedFactor(config.topK()), shared(token, shared)), result);
            }
            if (parameters.outputBias() != null) {
                add(parameters.outputBias().toDoubles(), result);
            }
            System.arraycopy(result, 0, y, t * config.hiddenSize(), config.hiddenSize());
        }
        return y;
    }

    Routing route(Matrix x, ForwardOptions options) {
        int tokens = (int) x.rows();
        int choices = config.routedChoices();
        double[] logits = new double[tokens * choices];
        for (int t = 0; t < tokens; t++) {
            double[] z = times(parameters.routerWeight(), x.sliceRows(t, 1).toDoubles());
            if (parameters.routerBias() != null) {
                add(parameters.routerBias().toDoubles(), z);
            }
            System.arraycopy(z, 0, logits, t * choices, choices);
        }
        RouterInput.Builder input = RouterInput.builder(logits, tokens, choices)
                .shape(options.batch(), tokens / options.batch())
                .training(options.training())
                .noise(options.noise());
        if (parameters.selectionBias() != null) {
            input.selectionBias(parameters.selectionBias().toDoubles());
        }
        return config.router().route(input.build());
    }

    private double[] routed(double[] token, int t, Routing routing) {
        double[] in = config.hasLatent() ? times(Objects.requireNonNull(parameters.latentIn()), token) : token;
        double[] sum = new double[in.length];
        for (int j = 0; j < config.topK(); j++) {
            int slot = t * config.topK() + j;
            int id = routing.expertIds()[slot];
            double w = routing.weights()[slot] * config.routedScale();
            if (id >= config.numExperts()) {
                add(scaled(w, in), sum);
            } else if (id >= 0 && config.weightPlacement() == WeightPlacement.OUTPUT) {
                add(scaled(w, expert(parameters.experts(), id, config.activation(), in)), sum);
            } else if (id >= 0) {
                double[] scaledIn = scaled(routing.weights()[slot], in);
                double[] out = expert(parameters.experts(), id, config.activation(), scaledIn);
                add(scaled(config.routedScale(), out), sum);
            }
        }
        return config.hasLatent() ? times(Objects.requireNonNull(parameters.latentOut()), sum) : sum;
    }

    private double[] shared(double[] token, SharedExpert shared) {
        double[] out = expert(Objects.requireNonNull(parameters.shared()), 0, shared.activation(), token);
        Matrix gate = parameters.sharedGate();
        return gate == null ? out : scaled(1 / (1 + Math.exp(-times(gate, token)[0])), out);
    }

    static double[] expert(ExpertWeights weights, int id, Activation activation, double[] in) {
        double[] a = Objects.requireNonNull(project(weights, WeightPart.GATE, WeightPart.GATE_BIAS, id, in));
        double[] b = project(weights, WeightPart.UP, WeightPart.UP_BIAS, id, in);
        double[] hidden = new double[a.length];
        for (int f = 0; f < a.length; f++) {
            hidden[f] =
                    b == null ? ActivationMath.hidden(activation, a[f]) : ActivationMath.hidden(activation, a[f], b[f]);
        }
        return Objects.requireNonNull(project(weights, WeightPart.DOWN, WeightPart.DOWN_BIAS, id, hidden));
    }

    private static double @Nullable [] project(
            ExpertWeights weights, WeightPart part, WeightPart bias, int id, double[] in) {
        if (!weights.shape().has(part)) {
            return null;
        }
        int rows = weights.shape().rows(part);
        int columns = weights.shape().columns(part);
        Matrix transposed = Matrix.of(new double[rows * columns], columns, rows);
        weights.store(part, id, transposed, Transpose.T);
        double[] out = times(transposed, in);
        if (weights.shape().has(bias)) {
            add(Fixture.part(weights, bias, id).toDoubles(), out);
        }
        return out;
    }

    private static double[] times(Matrix weight, double[] in) {
        double[] out = new double[(int) weight.rows()];
        for (int i = 0; i < out.length; i++) {
            for (int j = 0; j < in.length; j++) {
                out[i] += weight.get(i, j) * in[j];
            }
        }
        return out;
    }

    private static double[] scaled(double factor, double[] values) {
        double[] result = values.clone();
        for (int i = 0; i < result.length; i++) {
            result[i] *= factor;
        }
        return result;
    }

    private static void add(double[] from, double[] to) {
        for (int i = 0; i < to.length; i++) {
            to[i] += from[i];
        }
    }
}
