package dev.dropless.moe.family;

import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.loss.AuxiliaryLoss;
import java.util.Map;
import java.util.function.Function;

/** A family as its three functions. */
record DeclaredFamily(
        String name,
        String layerPrefix,
        Function<Settings, MoeConfig> configuration,
        Tensors tensors,
        Function<Settings, Map<String, AuxiliaryLoss>> auxiliary)
        implements Family {

    /** Names a layer's tensors. */
    @FunctionalInterface
    interface Tensors {
        Layout declare(Layout layout, Settings settings);
    }

    @Override
    public MoeConfig config(Settings settings) {
        return configuration.apply(settings);
    }

    @Override
    public Layout layout(Settings settings, MoeConfig config) {
        return tensors.declare(new Layout(config), settings);
    }

    @Override
    public Map<String, AuxiliaryLoss> losses(Settings settings) {
        return Map.copyOf(auxiliary.apply(settings));
    }
}
