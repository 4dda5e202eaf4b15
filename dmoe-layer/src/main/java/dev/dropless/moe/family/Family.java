package dev.dropless.moe.family;

import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.loss.AuxiliaryLoss;
import java.util.Map;

/**
 * A family of models whose mixture-of-experts layers have the same form. Implementations are declarations without state; {@link Families} lists them.
 */
public interface Family {

    /**
     * Returns the name by which users choose it: its {@code model_type}.
     *
     * @return a short lower-case word
     */
    String name();

    /**
     * Reads what the layer computes.
     *
     * @param settings the model's configuration
     * @param tables the layer's tables; {@link Tables#NONE} will do for all families but those that route by token id
     * @return the layer's configuration
     * @throws IllegalArgumentException if a key is missing or has a value that this family cannot have; the message names key, expected and found
     */
    MoeConfig config(Settings settings, Tables tables);

    /**
     * A small model of this family: every key that is read, with a value it may have.
     *
     * @return a configuration that {@link #config} accepts without tables
     */
    Settings example();

    /**
     * Says which tensors hold the layer's parameters.
     *
     * @param settings the model's configuration
     * @param config what {@link #config} made of it
     * @return the layout
     */
    Layout layout(Settings settings, MoeConfig config);

    /**
     * Returns the prefix of layer i's tensor names in a whole checkpoint.
     *
     * @return a text with {@code {}} for the number of the layer
     */
    String layerPrefix();

    /**
     * Returns the auxiliary losses that the family trains with.
     *
     * @param settings the model's configuration
     * @return losses by name, coefficient included where the family's own code includes it
     */
    Map<String, AuxiliaryLoss> losses(Settings settings);
}
