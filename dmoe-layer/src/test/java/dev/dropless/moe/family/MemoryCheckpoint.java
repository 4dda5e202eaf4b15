package dev.dropless.moe.family;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.moe.MoeConfig;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/** A checkpoint in memory, read and written. */
final class MemoryCheckpoint implements TensorSource, TensorSink {

    /** Whole numbers of the shape [rows, columns]. */
    @SuppressWarnings("ArrayRecordComponent") // compared element by element
    record Table(int rows, int columns, int[] values) {}

    final Map<String, StoredTensor> tensors = new LinkedHashMap<>();
    final Map<String, Table> tables = new LinkedHashMap<>();

    /** Every tensor of a layout, filled with random numbers that the type represents. */
    static MemoryCheckpoint random(MoeConfig config, Layout layout, String prefix, ElementType type, long seed) {
        MemoryCheckpoint checkpoint = new MemoryCheckpoint();
        SplittableRandom random = new SplittableRandom(seed);
        for (TensorBinding binding : layout.bindings()) {
            if (binding.table() != null) {
                checkpoint.table(
                        prefix + binding.name(),
                        binding.table().length / config.topK(),
                        config.topK(),
                        binding.table());
                continue;
            }
            checkpoint.put(prefix + binding.name(), type, binding.shape(), random);
        }
        return checkpoint;
    }

    void put(String name, ElementType type, List<Long> shape, SplittableRandom random) {
        int elements = Math.toIntExact(shape.stream().reduce(1L, Math::multiplyExact));
        MemorySegment data = MemorySegment.ofArray(new byte[elements * (int) type.bytes()]);
        for (int i = 0; i < elements; i++) {
            type.set(data, i * type.bytes(), random.nextGaussian());
        }
        tensors.put(name, new StoredTensor(name, type, shape, data));
    }

    byte[] bytes(String name) {
        StoredTensor tensor = tensors.get(name);
        if (tensor == null) {
            throw new AssertionError("no tensor " + name + " among " + tensors.keySet());
        }
        return tensor.data().toArray(java.lang.foreign.ValueLayout.JAVA_BYTE);
    }

    @Override
    public String description() {
        return "memory";
    }

    @Override
    public Collection<String> names() {
        List<String> names = new java.util.ArrayList<>(tensors.keySet());
        names.addAll(tables.keySet());
        return names;
    }

    @Override
    public StoredTensor tensor(String name) {
        StoredTensor tensor = tensors.get(name);
        if (tensor == null) {
            throw new IllegalArgumentException(
                    "memory: tensor " + name + ": expected floating point, found whole numbers");
        }
        return tensor;
    }

    @Override
    public int[] table(String name, int rows, int columns) {
        Table table = tables.get(name);
        if (table == null || table.rows() != rows || table.columns() != columns) {
            throw new IllegalArgumentException(
                    "memory: tensor %s: expected shape [%d, %d], found %s".formatted(name, rows, columns, table));
        }
        return table.values();
    }

    @Override
    public void tensor(StoredTensor tensor) {
        byte[] copy = tensor.data().toArray(java.lang.foreign.ValueLayout.JAVA_BYTE);
        tensors.put(
                tensor.name(),
                new StoredTensor(tensor.name(), tensor.type(), tensor.shape(), MemorySegment.ofArray(copy)));
    }

    @Override
    public void table(String name, int rows, int columns, int[] values) {
        tables.put(name, new Table(rows, columns, Arrays.copyOf(values, values.length)));
    }
}
