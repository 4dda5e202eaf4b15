package dev.dropless.moe.loss;

import dev.dropless.moe.router.Routing;
import dev.dropless.moe.router.ScoreFunction;
import dev.dropless.moe.router.Selection;
import dev.dropless.moe.router.TopKSelection;
import java.util.Arrays;

/**
 * Shazeer's load loss for noisy top-k gating:
 *
 * <pre>  loss = weight * CV(L)^2,   L_e = sum over t of Phi((g_te - h_te) / softplus(m_te))</pre>
 *
 * with g the logits without noise, m the noise logits, Phi the standard normal distribution function and h_te the k-th
 * largest noisy logit of the token among the other experts: the chance that e is chosen if its noise is drawn again.
 * With k = E that chance is 1.
 *
 * <p>Convention: population variance; the gradient includes the path through h. Source: Shazeer et al. 2017, arXiv
 * 1701.06538, appendix A, equations 8-11.
 *
 * @param weight factor on the loss
 */
public record LoadLoss(double weight) implements AuxiliaryLoss {

    /**
     * Checks the weight.
     *
     * @throws IllegalArgumentException if it is not finite
     */
    public LoadLoss {
        Checks.coefficient("weight", weight);
    }

    /**
     * Computes the loss, weight included, and its gradient with respect to logits and noise logits.
     *
     * @throws IllegalArgumentException if no noise was added
     */
    @Override
    public LossValue evaluate(Routing routing) {
        double[] noise = routing.input().noiseLogits();
        double[] draws = routing.noiseDraws();
        if (noise == null || draws == null || routing.units() != null) {
            throw Checks.mismatch("routing", "one of noisy gating in training, token by token", routing);
        }
        var state = new State(routing, noise, draws);
        var load = new double[routing.numExperts()];
        for (int i = 0; i < state.quantile.length; i++) {
            load[i % load.length] += NormalDistribution.cumulative(state.quantile[i]);
        }
        var dLoad = new double[load.length];
        double value = SquaredVariation.evaluate(load, weight, dLoad);
        return state.backward(value, dLoad);
    }

    /** u = (g - h) / sigma for every token and expert, and which expert h belongs to. */
    private static final class State {
        private final Routing routing;
        private final double[] noise;
        private final double[] quantile;
        private final int[] rival;

        State(Routing routing, double[] noise, double[] draws) {
            this.routing = routing;
            this.noise = noise;
            this.quantile = new double[noise.length];
            this.rival = new int[noise.length];
            double[] noisy = routing.gateLogits();
            findRivals(noisy);
            for (int i = 0; i < noise.length; i++) {
                double sigma = ScoreFunction.softplus(noise[i]);
                double clean = noisy[i] - draws[i] * sigma;
                quantile[i] = rival[i] < 0 ? Double.POSITIVE_INFINITY : (clean - noisy[rival[i]]) / sigma;
            }
        }

        /** The k-th largest of the others is number k + 1 of all for the k best, and number k for the rest. */
        private void findRivals(double[] noisy) {
            Arrays.fill(rival, -1);
            int experts = routing.numExperts();
            int k = routing.topK();
            if (k == experts) {
                return;
            }
            var best = new int[routing.tokens() * (k + 1)];
            TopKSelection.BY_LOGITS.select(
                    new Selection.Candidates(routing.input(), k + 1, noisy, routing.scores()), best);
            for (int token = 0; token < routing.tokens(); token++) {
                int row = token * experts;
                int rank = token * (k + 1);
                Arrays.fill(rival, row, row + experts, row + best[rank + k - 1]);
                for (int j = 0; j < k; j++) {
                    rival[row + best[rank + j]] = row + best[rank + k];
                }
            }
        }

        LossValue backward(double value, double[] dLoad) {
            var dClean = new double[noise.length];
            var dNoisy = new double[noise.length];
            var dNoise = new double[noise.length];
            for (int i = 0; i < noise.length; i++) {
                if (rival[i] >= 0) {
                    double sigma = ScoreFunction.softplus(noise[i]);
                    double d = dLoad[i % dLoad.length] * NormalDistribution.density(quantile[i]) / sigma;
                    dClean[i] += d;
                    dNoisy[rival[i]] -= d;
                    dNoise[i] -= d * quantile[i] * ScoreFunction.sigmoid(noise[i]);
                }
            }
            var dLogits = new double[noise.length];
            routing.addGateGradient(dClean, dLogits);
            routing.addGateGradient(dNoisy, dLogits);
            routing.addNoiseGradient(dNoisy, dNoise);
            return LossValue.ofNoisyLogits(value, dLogits, dNoise);
        }
    }
}
