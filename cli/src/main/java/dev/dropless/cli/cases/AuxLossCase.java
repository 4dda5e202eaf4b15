package dev.dropless.cli.cases;

import dev.dropless.cli.BadInput;
import dev.dropless.moe.loss.AuxiliaryLoss;
import dev.dropless.moe.loss.LoadBalancingLoss;
import dev.dropless.moe.loss.LossValue;
import dev.dropless.moe.loss.MegaBlocksBalancingLoss;
import dev.dropless.moe.loss.MultiLayerLossValue;
import dev.dropless.moe.loss.RouterZLoss;
import dev.dropless.moe.loss.SwitchBalancingLoss;
import dev.dropless.moe.router.Gating;
import dev.dropless.moe.router.RouterInput;
import dev.dropless.moe.router.Routing;
import dev.dropless.moe.router.ScoreRouter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Cases of kind {@code aux_loss}: losses over one or several layers' router logits, and their gradients. */
final class AuxLossCase {

    private final CaseFile file;
    private final CaseResults results = new CaseResults();

    private AuxLossCase(CaseFile file) {
        this.file = file;
    }

    static boolean isInput(String name) {
        return (name.endsWith("router_logits") && !name.contains("grad"))
                || name.equals("attention_mask")
                || name.equals("expert_indices")
                || name.endsWith(".tokens_per_expert");
    }

    static CaseResults evaluate(CaseFile file) {
        AuxLossCase losses = new AuxLossCase(file);
        if (file.contains("expert_indices")) {
            losses.switchTransformers();
        } else if (file.contains("layer0.tokens_per_expert")) {
            losses.megaBlocks();
        } else if (file.contains("layer0.router_logits")) {
            losses.huggingFace();
        } else {
            throw new BadInput("%s: loss: expected tensors of a known loss, found \"%s\""
                    .formatted(file.path(), file.metadata("loss")));
        }
        return losses.results;
    }

    private RouterInput input(String name) {
        int[] shape = file.shape(name, 2);
        return RouterInput.of(file.doubles(name), shape[0], shape[1]);
    }

    private void huggingFace() {
        List<Routing> layers = new ArrayList<>();
        for (int i = 0; i < file.number("layers"); i++) {
            layers.add(
                    ScoreRouter.softmaxTopK(file.number("top_k"), false).route(input("layer" + i + ".router_logits")));
        }
        MultiLayerLossValue value = new LoadBalancingLoss(1).evaluate(layers, mask());
        results.reals("loss", new double[] {value.value()});
        layerGradients(value, "grad_router_logits", layers);
    }

    private boolean @Nullable [] mask() {
        if (!file.contains("attention_mask")) {
            return null;
        }
        int[] stored = file.ints("attention_mask");
        boolean[] mask = new boolean[stored.length];
        for (int i = 0; i < mask.length; i++) {
            mask[i] = stored[i] != 0;
        }
        return mask;
    }

    private void megaBlocks() {
        int count = file.number("layers");
        List<Routing> layers = new ArrayList<>();
        double[] zLosses = new double[count];
        AuxiliaryLoss zLoss = new RouterZLoss(Double.parseDouble(file.metadata("moe_zloss_weight")));
        for (int i = 0; i < count; i++) {
            String layer = "layer" + i;
            Routing routing = ofCounts(input(layer + ".router_logits"), file.ints(layer + ".tokens_per_expert"));
            layers.add(routing);
            LossValue value = zLoss.evaluate(routing);
            zLosses[i] = value.value();
            gradient(layer + ".z_loss.grad_router_logits", value.dLogits(), routing);
        }
        results.reals("z_loss_per_layer", zLosses, count);
        double weight = Double.parseDouble(file.metadata("moe_loss_weight"));
        MultiLayerLossValue value = new MegaBlocksBalancingLoss(weight, count).evaluate(layers);
        results.reals("balance_loss", new double[] {value.value()});
        layerGradients(value, "balance_loss.grad_router_logits", layers);
    }

    /** A routing of which the loss sees the counts only, so any assignment with these counts will do. */
    private Routing ofCounts(RouterInput input, int[] tokensPerExpert) {
        int topK = file.number("top_k");
        int[] ids = new int[input.tokens() * topK];
        int next = 0;
        for (int expert = 0; expert < tokensPerExpert.length; expert++) {
            Arrays.fill(ids, next, next + tokensPerExpert[expert], expert);
            next += tokensPerExpert[expert];
        }
        return Routing.of(input, topK, Gating.SOFTMAX, ids, new double[ids.length]);
    }

    private void switchTransformers() {
        int[] shape = file.shape("router_logits", 3);
        int tokens = shape[0] * shape[1];
        RouterInput input = RouterInput.builder(file.doubles("router_logits"), tokens, shape[2])
                .shape(shape[0], shape[1])
                .build();
        Routing routing = Routing.of(input, 1, Gating.SOFTMAX, file.ints("expert_indices"), new double[tokens]);
        LossValue balance = new SwitchBalancingLoss(1).evaluate(routing);
        results.reals("balance_loss", new double[] {balance.value()});
        gradient("balance_loss.grad_router_logits", balance.dLogits(), routing);
        LossValue zLoss = new RouterZLoss(1).evaluate(routing);
        results.reals("z_loss", new double[] {zLoss.value()});
        gradient("z_loss.grad_router_logits", zLoss.dLogits(), routing);
    }

    private void layerGradients(MultiLayerLossValue value, String suffix, List<Routing> layers) {
        for (int i = 0; i < layers.size(); i++) {
            gradient("layer" + i + "." + suffix, value.dLogits().get(i), layers.get(i));
        }
    }

    private void gradient(String name, double[] dLogits, Routing routing) {
        results.reals(CaseResults.Role.ROUTER_GRADIENT, name, dLogits, routing.tokens(), routing.numExperts());
    }
}
