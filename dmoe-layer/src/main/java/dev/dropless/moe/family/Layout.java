package dev.dropless.moe.family;

import dev.dropless.blocksparse.WeightPart;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.SharedExpert;
import dev.dropless.moe.family.Parameter.Group;
import dev.dropless.moe.family.TensorBinding.Piece;
import dev.dropless.moe.router.HashSelection;
import dev.dropless.moe.router.ScoreRouter;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/**
 * Declares which tensors a family's checkpoints have for one layer: a builder whose calls read like the family's row in a table. Names are without the
 * prefix of the layer; {@code {}} in a name stands for the expert's number.
 */
public final class Layout {

    private final MoeConfig config;
    private final List<TensorBinding> bindings = new ArrayList<>();

    /**
     * Starts an empty layout.
     *
     * @param config the layer whose parameters are stored
     */
    public Layout(MoeConfig config) {
        this.config = config;
    }

    /**
     * Returns the layer whose parameters are stored.
     *
     * @return its configuration
     */
    public MoeConfig config() {
        return config;
    }

    /**
     * Returns what was declared.
     *
     * @return one binding per tensor
     */
    public List<TensorBinding> bindings() {
        return List.copyOf(bindings);
    }

    /**
     * Returns the first parts of the declared names: tensors under them belong to this layer and to nothing else.
     *
     * @return for instance {@code mlp.}
     */
    public Set<String> scopes() {
        Set<String> scopes = new LinkedHashSet<>();
        bindings.forEach(binding ->
                scopes.add(binding.name().substring(0, binding.name().indexOf('.') + 1)));
        return scopes;
    }

    /**
     * A tensor that is one matrix of the layer, as it is.
     *
     * @param name name of the tensor
     * @param group what it is
     * @return this
     */
    public Layout matrix(String name, Group group) {
        Parameter parameter = Parameter.of(group);
        long columns = parameter.columns(config);
        return add(name, List.of((long) parameter.rows(config), columns), List.of(new Piece(parameter, 0, columns, 1)));
    }

    /**
     * A tensor [n] that is one row of the layer: a bias.
     *
     * @param name name of the tensor
     * @param group what it is
     * @return this
     */
    public Layout vector(String name, Group group) {
        Parameter parameter = Parameter.of(group);
        long columns = parameter.columns(config);
        return add(name, List.of(columns), List.of(new Piece(parameter, 0, columns, 1)));
    }

    /**
     * One tensor for each expert.
     *
     * @param name name with {@code {}} for the expert's number
     * @param storage orientation
     * @param parts what it holds
     * @return this
     */
    public Layout perExpert(String name, Storage storage, WeightPart... parts) {
        for (int expert = 0; expert < config.numExperts(); expert++) {
            List<Long> shape = shape(Group.EXPERTS, storage, parts);
            add(name.replace("{}", Integer.toString(expert)), shape, pieces(Group.EXPERTS, expert, 0, storage, parts));
        }
        return this;
    }

    /**
     * One tensor [E, ...] for all experts.
     *
     * @param name name of the tensor
     * @param storage orientation of each expert's slice
     * @param parts what it holds
     * @return this
     */
    public Layout fused(String name, Storage storage, WeightPart... parts) {
        List<Long> slice = shape(Group.EXPERTS, storage, parts);
        return add(
                name,
                Stream.concat(Stream.of((long) config.numExperts()), slice.stream())
                        .toList(),
                allExperts(slice, storage, parts));
    }

    /**
     * One tensor for all experts, their rows one after the other: [E * rows, columns].
     *
     * @param name name of the tensor
     * @param storage orientation of each expert's rows
     * @param parts what it holds
     * @return this
     */
    public Layout stacked(String name, Storage storage, WeightPart... parts) {
        List<Long> slice = shape(Group.EXPERTS, storage, parts);
        List<Long> shape = new ArrayList<>(slice);
        shape.set(0, config.numExperts() * slice.getFirst());
        return add(name, shape, allExperts(slice, storage, parts));
    }

    /**
     * A tensor of the shared expert.
     *
     * @param name name of the tensor
     * @param storage orientation
     * @param parts what it holds
     * @return this
     */
    public Layout shared(String name, Storage storage, WeightPart... parts) {
        return add(name, shape(Group.SHARED, storage, parts), pieces(Group.SHARED, 0, 0, storage, parts));
    }

    /**
     * Gated experts, three tensors each, as PyTorch's Linear has them: {@code gate_proj}, {@code up_proj}, {@code down_proj}.
     *
     * @param prefix what comes before, with {@code {}} for the expert's number
     * @return this
     */
    public Layout experts(String prefix) {
        return perExpert(prefix + "gate_proj.weight", Storage.OUT_IN, WeightPart.GATE)
                .perExpert(prefix + "up_proj.weight", Storage.OUT_IN, WeightPart.UP)
                .perExpert(prefix + "down_proj.weight", Storage.OUT_IN, WeightPart.DOWN);
    }

    /**
     * Gated experts as {@link #experts}, named {@code w1}, {@code w3}, {@code w2} in the same order.
     *
     * @param prefix what comes before, with {@code {}} for the expert's number
     * @return this
     */
    public Layout numberedExperts(String prefix) {
        return perExpert(prefix + "w1.weight", Storage.OUT_IN, WeightPart.GATE)
                .perExpert(prefix + "w3.weight", Storage.OUT_IN, WeightPart.UP)
                .perExpert(prefix + "w2.weight", Storage.OUT_IN, WeightPart.DOWN);
    }

    /**
     * The shared expert, if the layer has one, gated or not, named as {@link #experts}; one that is not gated has no
     * {@code gate_proj}. Biases are beside the weights.
     *
     * @param prefix what comes before
     * @return this
     */
    public Layout shared(String prefix) {
        SharedExpert shared = config.shared();
        if (shared == null) {
            return this;
        }
        boolean gated = shared.shape().gated();
        if (gated) {
            sharedProjection(prefix + "gate_proj", WeightPart.GATE, WeightPart.GATE_BIAS);
        }
        sharedProjection(
                prefix + "up_proj",
                gated ? WeightPart.UP : WeightPart.GATE,
                gated ? WeightPart.UP_BIAS : WeightPart.GATE_BIAS);
        return sharedProjection(prefix + "down_proj", WeightPart.DOWN, WeightPart.DOWN_BIAS);
    }

    private Layout sharedProjection(String name, WeightPart weight, WeightPart bias) {
        shared(name + ".weight", Storage.OUT_IN, weight);
        boolean biased = Parameter.shape(config, Group.SHARED).has(bias);
        return biased ? shared(name + ".bias", Storage.OUT_IN, bias) : this;
    }

    /**
     * The table of a router that looks experts up by token id.
     *
     * @param name name of the tensor [vocabulary, k]
     * @return this
     * @throws IllegalArgumentException if the layer's router has no table
     */
    public Layout hashTable(String name) {
        if (config.router() instanceof ScoreRouter router && router.selection() instanceof HashSelection hash) {
            int[] table = hash.table();
            long vocabulary = table.length / config.topK();
            bindings.add(new TensorBinding(name, List.of(vocabulary, (long) config.topK()), List.of(), table));
            return this;
        }
        throw new IllegalArgumentException("router: expected one with a hash table, found none");
    }

    private Layout add(String name, List<Long> shape, List<Piece> pieces) {
        bindings.add(new TensorBinding(name, shape, pieces, null));
        return this;
    }

    private List<Piece> allExperts(List<Long> slice, Storage storage, WeightPart... parts) {
        long size = slice.stream().reduce(1L, Math::multiplyExact);
        List<Piece> pieces = new ArrayList<>();
        for (int expert = 0; expert < config.numExperts(); expert++) {
            pieces.addAll(pieces(Group.EXPERTS, expert, expert * size, storage, parts));
        }
        return pieces;
    }

    /** Sizes of the tensor, or slice of one, that holds these parts of one expert. */
    private List<Long> shape(Group group, Storage storage, WeightPart... parts) {
        Parameter first = new Parameter(group, parts[0], 0);
        long in = first.rows(config);
        long out = (long) first.columns(config) * parts.length;
        if (isBias(parts[0])) {
            return List.of(out);
        }
        return storage.inFirst ? List.of(in, out) : List.of(out, in);
    }

    /** With p the number of a part, n of how many: where its element (i, j) of [in, out] lies. */
    private List<Piece> pieces(Group group, int expert, long base, Storage storage, WeightPart... parts) {
        List<Piece> pieces = new ArrayList<>();
        for (int p = 0; p < parts.length; p++) {
            Parameter parameter = new Parameter(group, parts[p], expert);
            long in = parameter.rows(config);
            long out = parameter.columns(config);
            long n = parts.length;
            boolean inFirst = storage.inFirst || isBias(parts[p]);
            long columnStride = (storage.interleaved ? n : 1) * (inFirst ? 1 : in);
            long partStride = storage.interleaved ? (inFirst ? 1 : in) : out * (inFirst ? 1 : in);
            pieces.add(new Piece(parameter, base + p * partStride, inFirst ? n * out : 1, columnStride));
        }
        return pieces;
    }

    private static boolean isBias(WeightPart part) {
        return switch (part) {
            case GATE, UP, DOWN -> false;
            case GATE_BIAS, UP_BIAS, DOWN_BIAS -> true;
        };
    }
}
