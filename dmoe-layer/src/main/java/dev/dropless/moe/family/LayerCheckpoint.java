package dev.dropless.moe.family;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.MemorySpace;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.moe.LayerTensors;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.MoeGradients;
import dev.dropless.moe.MoeParameters;
import dev.dropless.moe.family.Parameter.Group;
import dev.dropless.moe.family.TensorBinding.Piece;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Moves one layer's parameters between a checkpoint's tensors and a {@link MoeParameters}, and its gradients the same way back. Strict: every
 * tensor of the layout must be there in its shape, and no other tensor under the layout's names.
 */
public final class LayerCheckpoint {

    private final MoeConfig config;
    private final Layout layout;
    private final KernelMemory memory;

    /**
     * Creates the mapping.
     *
     * @param config the layer
     * @param layout where its parameters are
     * @param memory the memory the layer's tensors lie in
     */
    public LayerCheckpoint(MoeConfig config, Layout layout, KernelMemory memory) {
        this.config = config;
        this.layout = layout;
        this.memory = memory;
    }

    /**
     * Checks that a checkpoint has the layer's tensors in their shapes, without reading them.
     *
     * @param source the checkpoint
     * @param prefix what its names have before those of the layout; may be empty
     * @throws IllegalArgumentException if a tensor is missing, is there beside those expected, or has another shape or type; the message names it
     */
    public void check(TensorSource source, String prefix) {
        checkNames(source, prefix);
        for (TensorBinding binding : layout.bindings()) {
            if (binding.table() == null) {
                checked(source, prefix, binding);
            }
        }
    }

    private static StoredTensor checked(TensorSource source, String prefix, TensorBinding binding) {
        StoredTensor tensor = source.tensor(prefix + binding.name());
        if (!tensor.shape().equals(binding.shape())) {
            throw new IllegalArgumentException("%s: tensor %s: expected shape %s as the configuration says, found %s"
                    .formatted(source.description(), tensor.name(), binding.shape(), tensor.shape()));
        }
        return tensor;
    }

    /**
     * Reads all parameters; tables were read with the configuration.
     *
     * @param source the checkpoint
     * @param prefix what its names have before those of the layout; may be empty
     * @param parameters overwritten
     * @throws IllegalArgumentException as {@link #check}, before anything is read
     */
    public void load(TensorSource source, String prefix, MoeParameters parameters) {
        check(source, prefix);
        for (TensorBinding binding : layout.bindings()) {
            if (binding.table() == null) {
                StoredTensor tensor = checked(source, prefix, binding);
                binding.pieces().forEach(piece -> load(piece, tensor, parameters));
            }
        }
    }

    private void checkNames(TensorSource source, String prefix) {
        Set<String> present = new HashSet<>(source.names());
        Set<String> expected = new HashSet<>();
        for (TensorBinding binding : layout.bindings()) {
            String name = prefix + binding.name();
            expected.add(name);
            if (!present.contains(name)) {
                throw new IllegalArgumentException("%s: tensor %s: expected shape %s, found no such tensor"
                        .formatted(source.description(), name, binding.shape()));
            }
        }
        for (String scope : layout.scopes()) {
            present.stream()
                    .filter(name -> name.startsWith(prefix + scope) && !expected.contains(name))
                    .sorted()
                    .findFirst()
                    .ifPresent(name -> {
                        throw new IllegalArgumentException(
                                "%s: tensor %s: expected only the %d tensors of this family under %s%s, found one more"
                                        .formatted(source.description(), name, expected.size(), prefix, scope));
                    });
        }
    }

    private void load(Piece piece, StoredTensor tensor, MoeParameters parameters) {
        Parameter parameter = piece.parameter();
        Oriented view = view(piece, tensor.data(), tensor.type());
        Oriented source = view != null ? view : gather(piece, tensor.data(), tensor.type());
        ExpertWeights experts = experts(parameter, parameters);
        if (experts != null) {
            experts.load(
                    Objects.requireNonNull(parameter.part()), parameter.expert(), source.matrix(), source.transpose());
        } else {
            memory.copy(source.matrix(), matrix(parameter.group(), parameters));
        }
    }

    /**
     * Writes out what a tensor of the checkpoint would hold.
     *
     * @param binding one of the layout's tensors
     * @param tensors parameters, or gradients
     * @param type element type to write
     * @param target receives the tensor, row-major
     * @throws IllegalArgumentException if the tensors lack a group that the binding needs (a frozen one, or a bias without gradient)
     */
    public void store(TensorBinding binding, LayerTensors tensors, ElementType type, MemorySegment target) {
        for (Piece piece : binding.pieces()) {
            Parameter parameter = piece.parameter();
            Oriented view = view(piece, target, type);
            int rows = parameter.rows(config);
            int columns = parameter.columns(config);
            Oriented result = view != null
                    ? view
                    : new Oriented(
                            Matrix.of(new double[Math.multiplyExact(rows, columns)], rows, columns), Transpose.N);
            ExpertWeights experts = experts(parameter, tensors);
            if (experts != null) {
                experts.store(
                        Objects.requireNonNull(parameter.part()),
                        parameter.expert(),
                        result.matrix(),
                        result.transpose());
            } else {
                memory.copy(matrix(parameter.group(), tensors), result.matrix());
            }
            if (view == null) {
                scatter(piece, result.matrix(), type, target);
            }
        }
    }

    /**
     * Writes all parameters under the names they are read from.
     *
     * @param parameters what to write
     * @param prefix what goes before the names of the layout; may be empty
     * @param types element type of each tensor, by its name without the prefix
     * @param sink receives the tensors one after the other, in the order of the layout
     */
    public void export(MoeParameters parameters, String prefix, Function<String, ElementType> types, TensorSink sink) {
        for (TensorBinding binding : layout.bindings()) {
            String name = prefix + binding.name();
            if (binding.table() != null) {
                int rows = Math.toIntExact(binding.shape().getFirst());
                int columns = Math.toIntExact(binding.shape().getLast());
                sink.table(name, rows, columns, binding.table().clone());
                continue;
            }
            try (Arena arena = Arena.ofConfined()) {
                ElementType type = types.apply(binding.name());
                MemorySegment data = arena.allocate(Math.multiplyExact(binding.elements(), type.bytes()));
                store(binding, parameters, type, data);
                sink.tensor(new StoredTensor(name, type, binding.shape(), data));
            }
        }
    }

    /** A matrix, and whether it is the transpose of what is meant. */
    private record Oriented(Matrix matrix, Transpose transpose) {}

    /** The piece in place, or null if neither its rows nor its columns are contiguous. */
    private @Nullable Oriented view(Piece piece, MemorySegment data, ElementType type) {
        int rows = piece.parameter().rows(config);
        int columns = piece.parameter().columns(config);
        if (piece.columnStride() == 1) {
            return new Oriented(
                    new Matrix(data, type, piece.offset(), rows, columns, piece.rowStride(), MemorySpace.HOST),
                    Transpose.N);
        }
        if (piece.rowStride() == 1) {
            return new Oriented(
                    new Matrix(data, type, piece.offset(), columns, rows, piece.columnStride(), MemorySpace.HOST),
                    Transpose.T);
        }
        return null;
    }

    private Oriented gather(Piece piece, MemorySegment data, ElementType type) {
        int rows = piece.parameter().rows(config);
        int columns = piece.parameter().columns(config);
        Matrix copy = Matrix.of(new double[Math.multiplyExact(rows, columns)], rows, columns);
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < columns; j++) {
                copy.set(i, j, type.get(data, index(piece, i, j) * type.bytes()));
            }
        }
        return new Oriented(copy, Transpose.N);
    }

    private static void scatter(Piece piece, Matrix values, ElementType type, MemorySegment target) {
        for (int i = 0; i < values.rows(); i++) {
            for (int j = 0; j < values.columns(); j++) {
                type.set(target, index(piece, i, j) * type.bytes(), values.get(i, j));
            }
        }
    }

    private static long index(Piece piece, int row, int column) {
        return piece.offset() + row * piece.rowStride() + column * piece.columnStride();
    }

    private static @Nullable ExpertWeights experts(Parameter parameter, LayerTensors tensors) {
        return switch (parameter.group()) {
            case EXPERTS ->
                present(
                        parameter.group(),
                        switch (tensors) {
                            case MoeParameters parameters -> parameters.experts();
                            case MoeGradients gradients -> gradients.experts();
                        });
            case SHARED -> present(parameter.group(), tensors.shared());
            default -> null;
        };
    }

    private static Matrix matrix(Group group, LayerTensors tensors) {
        Matrix matrix = switch (group) {
            case ROUTER ->
                switch (tensors) {
                    case MoeParameters parameters -> parameters.routerWeight();
                    case MoeGradients gradients -> gradients.routerWeight();
                };
            case ROUTER_BIAS -> tensors.routerBias();
            case SELECTION_BIAS -> tensors instanceof MoeParameters parameters ? parameters.selectionBias() : null;
            case SHARED_GATE -> tensors.sharedGate();
            case LATENT_IN -> tensors.latentIn();
            case LATENT_OUT -> tensors.latentOut();
            case OUTPUT_BIAS -> tensors.outputBias();
            case EXPERTS, SHARED -> null;
        };
        return present(group, matrix);
    }

    private static <T> T present(Group group, @Nullable T tensors) {
        if (tensors == null) {
            throw new IllegalArgumentException("tensors: expected to have group %s, found none".formatted(group));
        }
        return tensors;
    }

    /**
     * Lists the layout's tensors.
     *
     * @return one binding per tensor
     */
    public List<TensorBinding> bindings() {
        return layout.bindings();
    }
}
