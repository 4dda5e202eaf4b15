package dev.dropless.cli.cases;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.safetensors.SafetensorsException;
import dev.dropless.safetensors.SafetensorsWriter;
import dev.dropless.safetensors.TensorType;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/** What was computed for a case: tensors under the names the case has for them. */
public final class CaseResults {

    private final Map<String, Tensor> tensors = new LinkedHashMap<>();

    /** What a tensor is, which decides how closely it must agree in single precision. */
    public enum Role {
        /** Whole numbers: equal. */
        INTEGER,
        /** An output, a gradient of the input, a loss. */
        VALUE,
        /** Gradient of an expert's weight. */
        EXPERT_GRADIENT,
        /** Gradient of a shared expert's gate. */
        SHARED_GATE_GRADIENT,
        /** Gradient of the router's weight. */
        ROUTER_GRADIENT
    }

    /**
     * A computed tensor.
     *
     * @param shape sizes, outermost first
     * @param values elements in order
     * @param role what it is
     */
    @SuppressWarnings("ArrayRecordComponent") // a plain carrier, never compared
    public record Tensor(long[] shape, double[] values, Role role) {}

    /**
     * Adds real numbers.
     *
     * @param name name of the tensor
     * @param values elements in order
     * @param shape sizes, outermost first
     */
    public void reals(String name, double[] values, long... shape) {
        reals(Role.VALUE, name, values, shape);
    }

    /**
     * Adds real numbers with a role.
     *
     * @param role what they are
     * @param name name of the tensor
     * @param values elements in order
     * @param shape sizes, outermost first
     */
    public void reals(Role role, String name, double[] values, long... shape) {
        add(name, new Tensor(shape, values, role));
    }

    /**
     * Adds a matrix.
     *
     * @param name name of the tensor
     * @param matrix host matrix; copied
     */
    public void reals(String name, Matrix matrix) {
        reals(name, matrix.toDoubles(), matrix.rows(), matrix.columns());
    }

    /**
     * Adds whole numbers.
     *
     * @param name name of the tensor
     * @param values elements in order
     * @param shape sizes, outermost first; none for a vector
     */
    public void integers(String name, int[] values, long... shape) {
        long[] sizes = shape.length == 0 ? new long[] {values.length} : shape;
        add(name, new Tensor(sizes, Arrays.stream(values).asDoubleStream().toArray(), Role.INTEGER));
    }

    private void add(String name, Tensor tensor) {
        if (tensors.put(name, tensor) != null) {
            throw new IllegalStateException("tensor " + name + " was computed twice");
        }
    }

    /**
     * Leaves out what the case has no result for, unless it has no results at all.
     *
     * @param file the case
     */
    public void keepThoseOf(CaseFile file) {
        if (tensors.keySet().stream().anyMatch(file::contains)) {
            tensors.keySet().removeIf(name -> !file.contains(name));
        }
    }

    /**
     * Returns what was computed.
     *
     * @return tensors by name, in the order they were added
     */
    public Map<String, Tensor> tensors() {
        return tensors;
    }

    /**
     * Writes the results. Tensors that the case has get the case's type and shape; others are F64 or I64.
     *
     * @param file the case
     * @param metadata what to say about the computation
     * @param target file to write; appears whole or not at all
     * @throws SafetensorsException if it cannot be written
     */
    public void write(CaseFile file, Map<String, String> metadata, Path target) throws SafetensorsException {
        SafetensorsWriter writer = new SafetensorsWriter();
        metadata.forEach(writer::metadata);
        tensors.forEach((name, tensor) -> {
            boolean stored = file.contains(name);
            TensorType type =
                    stored ? file.tensor(name).type() : tensor.role == Role.INTEGER ? TensorType.I64 : TensorType.F64;
            long[] shape = stored ? file.tensor(name).shape() : tensor.shape;
            writer.tensor(name, type, shape, MemorySegment.ofBuffer(encode(type, tensor.values)));
        });
        writer.write(target);
    }

    private static ByteBuffer encode(TensorType type, double[] values) {
        ByteBuffer buffer = ByteBuffer.allocate(values.length * type.byteSize()).order(ByteOrder.LITTLE_ENDIAN);
        for (double value : values) {
            switch (type) {
                case F64 -> buffer.putDouble(value);
                case F32 -> buffer.putFloat((float) value);
                case I64 -> buffer.putLong((long) value);
                case I32 -> buffer.putInt((int) value);
                default -> throw new IllegalStateException("results of type " + type);
            }
        }
        return buffer.flip();
    }
}
