package dev.dropless.benchmarks;

import dev.dropless.moe.router.Gating;
import dev.dropless.moe.router.Router;
import dev.dropless.moe.router.RouterInput;
import dev.dropless.moe.router.Routing;

/** Assigns as the task says. The layer still computes its logits; their gradient is zero. */
final class FixedRouting implements Router {

    private final int topK;
    private final int[] expertIds;
    private final double[] weights;

    FixedRouting(LayerTask task) {
        topK = task.layer().topK();
        expertIds = task.expertIds();
        float[] narrow = task.combineWeights();
        weights = new double[narrow.length];
        for (int i = 0; i < narrow.length; i++) {
            weights[i] = narrow[i];
        }
    }

    @Override
    public int topK() {
        return topK;
    }

    @Override
    public Routing route(RouterInput input) {
        return Routing.of(input, topK, Gating.SOFTMAX, expertIds, weights);
    }

    @Override
    public void backward(Routing routing, double[] dWeights, double[] dLogits) {}
}
