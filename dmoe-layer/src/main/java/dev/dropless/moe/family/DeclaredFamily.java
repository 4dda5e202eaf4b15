package dev.dropless.moe.family;

import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.loss.AuxiliaryLoss;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** A family as a declaration: what is computed, and which tensors hold it. */
record DeclaredFamily(
        String name,
        String layerPrefix,
        Computation computation,
        Tensors tensors,
        Function<Settings, Map<String, AuxiliaryLoss>> auxiliary,
        Settings example)
        implements Family {

    /** Reads the configuration. */
    @FunctionalInterface
    interface Computation {
        MoeConfig read(Settings settings, Tables tables);
    }

    /** Names a layer's tensors. */
    @FunctionalInterface
    interface Tensors {
        Layout declare(Layout layout, Settings settings);
    }

    /** A family without losses, whose layers are {@code model.layers.N} and whose configuration has no keys yet. */
    static DeclaredFamily of(String name, Function<Settings, MoeConfig> computation, Tensors tensors) {
        return of(name, (settings, tables) -> computation.apply(settings), tensors);
    }

    static DeclaredFamily of(String name, Computation computation, Tensors tensors) {
        return new DeclaredFamily(
                name, "model.layers.{}.", computation, tensors, s -> Map.of(), new Settings(name, Map.of()));
    }

    DeclaredFamily prefix(String prefix) {
        return new DeclaredFamily(name, prefix, computation, tensors, auxiliary, example);
    }

    DeclaredFamily losses(Function<Settings, Map<String, AuxiliaryLoss>> losses) {
        return new DeclaredFamily(name, layerPrefix, computation, tensors, losses, example);
    }

    /** Keys and values by turns, in this order. */
    static Map<String, @Nullable Object> keys(@Nullable Object... keysAndValues) {
        Map<String, @Nullable Object> values = new LinkedHashMap<>();
        for (int i = 0; i < keysAndValues.length; i += 2) {
            values.put(String.valueOf(keysAndValues[i]), keysAndValues[i + 1]);
        }
        return values;
    }

    DeclaredFamily example(@Nullable Object... keysAndValues) {
        Settings settings = new Settings("example of " + name, keys(keysAndValues));
        return new DeclaredFamily(name, layerPrefix, computation, tensors, auxiliary, settings);
    }

    @Override
    public MoeConfig config(Settings settings, Tables tables) {
        return computation.read(settings, tables);
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
