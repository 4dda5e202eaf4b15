package dev.dropless.cli.cases;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.cli.BadInput;
import dev.dropless.safetensors.SafetensorsException;
import dev.dropless.safetensors.SafetensorsFile;
import dev.dropless.safetensors.TensorType;
import dev.dropless.safetensors.TensorView;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** An open case file. */
public final class CaseFile implements AutoCloseable {

    /** The only value of the metadata key {@code format}. */
    public static final String FORMAT = "moe-oracle-1";

    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final SafetensorsFile file;

    private CaseFile(SafetensorsFile file) {
        this.file = file;
    }

    /**
     * Opens a case.
     *
     * @param path the file
     * @return the case; the caller closes it
     * @throws SafetensorsException if it is no safetensors file
     * @throws BadInput if it is no case file
     */
    public static CaseFile open(Path path) throws SafetensorsException {
        SafetensorsFile file = SafetensorsFile.open(path);
        String format = file.metadata().get("format");
        if (!FORMAT.equals(format)) {
            file.close();
            throw new BadInput("%s: metadata key format: expected \"%s\", found %s"
                    .formatted(path, FORMAT, format == null ? "none" : "\"" + format + "\""));
        }
        return new CaseFile(file);
    }

    /**
     * Returns where the case lies.
     *
     * @return the path it was opened with
     */
    public Path path() {
        return file.path();
    }

    /**
     * Returns what the file says about itself.
     *
     * @return metadata
     */
    public Map<String, String> metadata() {
        return file.metadata();
    }

    /**
     * Returns one metadata value.
     *
     * @param key its key
     * @return the value
     * @throws BadInput if there is none
     */
    public String metadata(String key) {
        String value = file.metadata().get(key);
        if (value == null) {
            throw new BadInput("%s: metadata key %s: expected a value, found none".formatted(file.path(), key));
        }
        return value;
    }

    /**
     * Returns a whole number of the metadata.
     *
     * @param key its key
     * @return the number
     * @throws BadInput if it is none
     */
    public int number(String key) {
        String value = metadata(key);
        try {
            return Integer.parseInt(value);
        } catch (NumberFormatException e) {
            throw new BadInput(
                    "%s: metadata key %s: expected a whole number, found \"%s\"".formatted(file.path(), key, value), e);
        }
    }

    /**
     * Lists the tensors.
     *
     * @return names, in the order of the file
     */
    public List<String> names() {
        return file.names();
    }

    /**
     * Tells whether there is such a tensor.
     *
     * @param name a name
     * @return true if there is
     */
    public boolean contains(String name) {
        return file.contains(name);
    }

    /**
     * Finds a tensor.
     *
     * @param name its name
     * @return the tensor
     * @throws BadInput if there is none
     */
    public TensorView tensor(String name) {
        try {
            return file.tensor(name);
        } catch (SafetensorsException e) {
            throw BadInput.because(e);
        }
    }

    /**
     * Finds a tensor of a given rank.
     *
     * @param name its name
     * @param rank number of dimensions
     * @return its shape
     * @throws BadInput if there is none, or it has another rank
     */
    public int[] shape(String name, int rank) {
        long[] shape = tensor(name).shape();
        if (shape.length != rank) {
            throw new BadInput(
                    "%s: tensor %s: expected %d dimensions, found %d".formatted(file.path(), name, rank, shape.length));
        }
        int[] sizes = new int[rank];
        for (int i = 0; i < rank; i++) {
            if (shape[i] > Integer.MAX_VALUE) {
                throw new BadInput(
                        "%s: tensor %s: expected sizes below 2^31, found %d".formatted(file.path(), name, shape[i]));
            }
            sizes[i] = (int) shape[i];
        }
        return sizes;
    }

    /**
     * Reads numbers of any type.
     *
     * @param name name of the tensor
     * @return its elements in order, exact except for integers beyond 2^53
     */
    public double[] doubles(String name) {
        TensorView tensor = tensor(name);
        double[] values = new double[Math.toIntExact(tensor.elementCount())];
        if (tensor.type() == TensorType.I64 || tensor.type() == TensorType.I32) {
            for (int i = 0; i < values.length; i++) {
                values[i] = integer(tensor, i);
            }
            return values;
        }
        ElementType type = elementType(tensor);
        MemorySegment data = tensor.data();
        for (int i = 0; i < values.length; i++) {
            values[i] = type.get(data, (long) i * type.bytes());
        }
        return values;
    }

    /**
     * Reads whole numbers.
     *
     * @param name name of an I64 or I32 tensor
     * @return its elements in order
     * @throws BadInput if it has another type or an element beyond 32 bits
     */
    public int[] ints(String name) {
        return ints(tensor(name), file.path().toString());
    }

    /**
     * Reads whole numbers.
     *
     * @param tensor an I64 or I32 tensor
     * @param source where it comes from, for the message
     * @return its elements in order
     * @throws BadInput if it has another type or an element beyond 32 bits
     */
    public static int[] ints(TensorView tensor, String source) {
        if (tensor.type() != TensorType.I64 && tensor.type() != TensorType.I32) {
            throw new BadInput("%s: tensor %s: expected type I64 or I32, found %s"
                    .formatted(source, tensor.name(), tensor.type()));
        }
        int[] values = new int[Math.toIntExact(tensor.elementCount())];
        for (int i = 0; i < values.length; i++) {
            long value = integer(tensor, i);
            if (value != (int) value) {
                throw new BadInput("%s: tensor %s: expected whole numbers of 32 bits, found %d"
                        .formatted(source, tensor.name(), value));
            }
            values[i] = (int) value;
        }
        return values;
    }

    private static long integer(TensorView tensor, long index) {
        return tensor.type() == TensorType.I64
                ? tensor.data().get(LONG, index * Long.BYTES)
                : tensor.data().get(INT, index * Integer.BYTES);
    }

    /**
     * Returns a tensor of two dimensions, in place.
     *
     * @param name its name
     * @return a read-only matrix
     * @throws BadInput if it has another rank or is not of a floating-point type
     */
    public Matrix matrix(String name) {
        int[] shape = shape(name, 2);
        return matrix(name, shape[0], shape[1]);
    }

    /**
     * Returns a tensor as a matrix, in place.
     *
     * @param name its name
     * @param rows rows
     * @param columns columns
     * @return a read-only matrix
     * @throws BadInput if it has another number of elements or is not of a floating-point type
     */
    public Matrix matrix(String name, long rows, long columns) {
        TensorView tensor = tensor(name);
        if (tensor.elementCount() != rows * columns) {
            throw new BadInput("%s: tensor %s: expected %d x %d elements, found %d"
                    .formatted(file.path(), name, rows, columns, tensor.elementCount()));
        }
        return Matrix.of(tensor.data(), elementType(tensor), rows, columns);
    }

    private ElementType elementType(TensorView tensor) {
        return elementType(tensor, file.path().toString());
    }

    /**
     * Returns the element type of a tensor of floating-point numbers.
     *
     * @param tensor the tensor
     * @param source where it comes from, for the message
     * @return its type
     * @throws BadInput if it is of another type
     */
    public static ElementType elementType(TensorView tensor, String source) {
        return switch (tensor.type()) {
            case F64 -> ElementType.F64;
            case F32 -> ElementType.F32;
            case BF16 -> ElementType.BF16;
            case F16 -> ElementType.F16;
            default ->
                throw new BadInput("%s: tensor %s: expected type F64, F32, BF16 or F16, found %s"
                        .formatted(source, tensor.name(), tensor.type()));
        };
    }

    @Override
    public void close() {
        file.close();
    }
}
