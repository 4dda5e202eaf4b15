package dev.dropless.cli.families;

import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.family.Family;
import dev.dropless.moe.family.Layout;
import dev.dropless.moe.family.Settings;
import dev.dropless.moe.family.Tables;
import dev.dropless.moe.family.TensorBinding;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * A family in words. All of it is read off the layer that the family makes of its example configuration, so it cannot say something else than what is
 * computed.
 *
 * @param name name of the family
 * @param layerPrefix what comes before a layer's tensor names, with {@code {}} for the number of the layer
 * @param score how logits become scores
 * @param selection how experts are chosen, drops included
 * @param weights how combine weights are made
 * @param experts form of the experts
 * @param shared form of the shared expert and how it is added, or "none"
 * @param losses names of the auxiliary losses
 * @param keys keys of the configuration that are read, with the example's values
 * @param tensors names of the layer's tensors and their shapes in the example; N stands for the number of an expert
 */
public record FamilySummary(
        String name,
        String layerPrefix,
        String score,
        String selection,
        String weights,
        String experts,
        String shared,
        List<String> losses,
        Map<String, ? extends @Nullable Object> keys,
        Map<String, List<Long>> tensors) {

    /**
     * Describes a family.
     *
     * @param family the family
     * @return its summary
     */
    public static FamilySummary of(Family family) {
        Settings example = family.example();
        MoeConfig config = family.config(example, Tables.NONE);
        LayerWords words = new LayerWords(config);
        return new FamilySummary(
                family.name(),
                family.layerPrefix(),
                words.score(),
                words.selection(),
                words.weights(),
                words.experts(),
                words.shared(),
                List.copyOf(new TreeSet<>(family.losses(example).keySet())),
                example.values(),
                tensors(family.layout(example, config)));
    }

    private static Map<String, List<Long>> tensors(Layout layout) {
        Map<String, List<Long>> tensors = new LinkedHashMap<>();
        for (TensorBinding binding : layout.bindings()) {
            tensors.putIfAbsent(binding.name().replaceAll("(?<=[._])\\d+(?=\\.)", "N"), binding.shape());
        }
        return tensors;
    }

    /**
     * Returns the summary as a JSON object.
     *
     * @return keys in a fixed order
     */
    public Map<String, @Nullable Object> json() {
        Map<String, @Nullable Object> json = new LinkedHashMap<>();
        json.put("name", name);
        json.put("layer_prefix", layerPrefix);
        json.put("score", score);
        json.put("selection", selection);
        json.put("weights", weights);
        json.put("experts", experts);
        json.put("shared", shared);
        json.put("losses", losses);
        json.put("example_config", keys);
        json.put("example_tensors", tensors);
        return json;
    }
}
