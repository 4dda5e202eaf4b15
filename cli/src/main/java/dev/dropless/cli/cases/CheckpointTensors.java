package dev.dropless.cli.cases;

import dev.dropless.cli.BadInput;
import dev.dropless.moe.family.StoredTensor;
import dev.dropless.moe.family.TensorSource;
import dev.dropless.safetensors.TensorView;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.function.Function;

/** The tensors of an open safetensors file or checkpoint, for a layer to load. */
public final class CheckpointTensors implements TensorSource {

    private final String description;
    private final List<String> names;
    private final Function<String, TensorView> tensors;

    /**
     * The tensors of a case, which names its weights as a checkpoint does.
     *
     * @param file the case, open as long as this is used
     */
    public CheckpointTensors(CaseFile file) {
        this(file.path().toString(), file.names(), file::tensor);
    }

    /**
     * Any named tensors.
     *
     * @param description what they come from
     * @param names all names
     * @param tensors finds one of them
     */
    public CheckpointTensors(String description, List<String> names, Function<String, TensorView> tensors) {
        this.description = description;
        this.names = List.copyOf(names);
        this.tensors = tensors;
    }

    @Override
    public String description() {
        return description;
    }

    @Override
    public Collection<String> names() {
        return names;
    }

    @Override
    public StoredTensor tensor(String name) {
        TensorView tensor = tensors.apply(name);
        List<Long> shape = Arrays.stream(tensor.shape()).boxed().toList();
        return new StoredTensor(name, CaseFile.elementType(tensor, description), shape, tensor.data());
    }

    @Override
    public int[] table(String name, int rows, int columns) {
        List<Long> expected = List.of((long) rows, (long) columns);
        if (!names.contains(name)) {
            throw new BadInput(
                    "%s: tensor %s: expected shape %s, found no such tensor".formatted(description, name, expected));
        }
        TensorView tensor = tensors.apply(name);
        List<Long> shape = Arrays.stream(tensor.shape()).boxed().toList();
        if (!shape.equals(expected)) {
            throw new BadInput("%s: tensor %s: expected shape %s as the configuration says, found %s"
                    .formatted(description, name, expected, shape));
        }
        return CaseFile.ints(tensor, description);
    }
}
