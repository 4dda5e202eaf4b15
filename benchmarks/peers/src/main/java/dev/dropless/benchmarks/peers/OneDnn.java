package dev.dropless.benchmarks.peers;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The C interface of oneDNN 3 (dnnl.h), as far as products with prepacked weights need it. One thread at a time. */
final class OneDnn {

    private static final int CPU = 1;
    private static final int IN_ORDER = 1;
    private static final int TAG_ANY = 1;
    private static final int TAG_AB = 3;
    private static final int QUERY_WEIGHTS_MD = 131;
    private static final int ARG_SRC = 1;
    private static final int ARG_DST = 17;
    private static final int ARG_WEIGHTS = 33;
    private static final MemorySegment ALLOCATE = MemorySegment.ofAddress(-1);

    private final Arena arena = Arena.ofShared();
    private final NativeLibraries library;
    private final Map<String, MethodHandle> functions = new HashMap<>();
    private final MethodHandle execute;
    private final MemorySegment engine;
    private final MemorySegment stream;
    private final MemorySegment cell = arena.allocate(ADDRESS);
    private final MemorySegment arguments = arena.allocate(48, 8);
    private final String description;

    OneDnn(int threads) {
        NativeLibraries.environment("OMP_NUM_THREADS", Integer.toString(threads));
        library = new NativeLibraries("org/bytedeco/dnnl/linux-x86_64", List.of("libgomp.so.1", "libdnnl.so.3"));
        engine = make("dnnl_engine_create", CPU, 0L);
        stream = make("dnnl_stream_create", engine, IN_ORDER);
        execute = library.function(
                "dnnl_primitive_execute", FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS, JAVA_INT, ADDRESS));
        MemorySegment version =
                (MemorySegment) NativeLibraries.call(library.function("dnnl_version", FunctionDescriptor.of(ADDRESS)));
        int isa = (int)
                NativeLibraries.call(library.function("dnnl_get_effective_cpu_isa", FunctionDescriptor.of(JAVA_INT)));
        MemorySegment numbers = version.reinterpret(12);
        description = "oneDNN %d.%d.%d, instruction set 0x%x, %d threads"
                .formatted(numbers.get(JAVA_INT, 0), numbers.get(JAVA_INT, 4), numbers.get(JAVA_INT, 8), isa, threads);
    }

    String description() {
        return description;
    }

    /** Calls a function that returns a status; addresses, ints and longs by the class of the argument. */
    private void call(String name, Object... values) {
        MethodHandle handle = functions.computeIfAbsent(name, key -> {
            MemoryLayout[] layouts = new MemoryLayout[values.length];
            for (int i = 0; i < values.length; i++) {
                layouts[i] = switch (values[i]) {
                    case Integer _ -> JAVA_INT;
                    case Long _ -> JAVA_LONG;
                    default -> ADDRESS;
                };
            }
            return library.function(key, FunctionDescriptor.of(JAVA_INT, layouts));
        });
        int status = (int) NativeLibraries.call(handle, values);
        if (status != 0) {
            throw new IllegalStateException("%s: status %d".formatted(name, status));
        }
    }

    /** Calls a function whose first argument receives the object it makes. */
    private MemorySegment make(String name, Object... values) {
        Object[] all = new Object[values.length + 1];
        all[0] = cell;
        System.arraycopy(values, 0, all, 1, values.length);
        call(name, all);
        return cell.get(ADDRESS, 0);
    }

    private MemorySegment descriptor(long rows, long columns, ElementType type, int tag) {
        MemorySegment sizes = arena.allocateFrom(JAVA_LONG, rows, columns);
        return make("dnnl_memory_desc_create_with_tag", 2, sizes, type == ElementType.BF16 ? 2 : 3, tag);
    }

    private MemorySegment matmul(MemorySegment source, MemorySegment weights, MemorySegment target) {
        return make(
                "dnnl_matmul_primitive_desc_create",
                engine,
                source,
                weights,
                MemorySegment.NULL,
                target,
                MemorySegment.NULL);
    }

    /** Weights [k, n] of several experts in the layout that the library prefers, and products with them. */
    final class Packed {
        private final long k;
        private final long n;
        private final ElementType type;
        private final MemorySegment weightsDescriptor;
        private final MemorySegment[] weights;
        private final Map<Long, Shape> shapes = new HashMap<>();

        /** A primitive and its operands' memory objects; the library makes them for one number of rows. */
        private record Shape(MemorySegment primitive, MemorySegment source, MemorySegment target) {}

        /**
         * Asks the library for its layout.
         *
         * @param typicalRows rows for which the layout is chosen
         */
        Packed(int experts, long k, long n, ElementType type, long typicalRows) {
            this.k = k;
            this.n = n;
            this.type = type;
            weights = new MemorySegment[experts];
            MemorySegment chosen = matmul(
                    descriptor(typicalRows, k, type, TAG_AB),
                    descriptor(k, n, type, TAG_ANY),
                    descriptor(typicalRows, n, ElementType.F32, TAG_AB));
            MethodHandle query = library.function(
                    "dnnl_primitive_desc_query_md", FunctionDescriptor.of(ADDRESS, ADDRESS, JAVA_INT, JAVA_INT));
            weightsDescriptor = (MemorySegment) NativeLibraries.call(query, chosen, QUERY_WEIGHTS_MD, 0);
        }

        /** Converts one expert's weights, single precision, row-major. */
        void load(int expert, Matrix values) {
            MemorySegment plain = descriptor(k, n, ElementType.F32, TAG_AB);
            MemorySegment from = make("dnnl_memory_create", plain, engine, start(values));
            weights[expert] = make("dnnl_memory_create", weightsDescriptor, engine, ALLOCATE);
            MemorySegment reorder = make(
                    "dnnl_primitive_create",
                    make(
                            "dnnl_reorder_primitive_desc_create",
                            plain,
                            engine,
                            weightsDescriptor,
                            engine,
                            MemorySegment.NULL));
            argument(0, ARG_SRC, from);
            argument(1, ARG_DST, weights[expert]);
            call("dnnl_primitive_execute", reorder, stream, 2, arguments);
            call("dnnl_stream_wait", stream);
            call("dnnl_memory_destroy", from);
        }

        /** target [m, n] = source [m, k] weights of an expert. */
        void multiply(int expert, Matrix source, Matrix target) {
            Shape shape = shapes.computeIfAbsent(source.rows(), this::newShape);
            call("dnnl_memory_set_data_handle", shape.source, start(source));
            call("dnnl_memory_set_data_handle", shape.target, start(target));
            argument(0, ARG_SRC, shape.source);
            argument(1, ARG_WEIGHTS, weights[expert]);
            argument(2, ARG_DST, shape.target);
            run(shape.primitive);
        }

        private Shape newShape(long rows) {
            MemorySegment source = descriptor(rows, k, type, TAG_AB);
            MemorySegment target = descriptor(rows, n, ElementType.F32, TAG_AB);
            return new Shape(
                    make("dnnl_primitive_create", matmul(source, weightsDescriptor, target)),
                    make("dnnl_memory_create", source, engine, MemorySegment.NULL),
                    make("dnnl_memory_create", target, engine, MemorySegment.NULL));
        }

        /** Frees the packed weights. */
        void close() {
            for (MemorySegment memory : weights) {
                call("dnnl_memory_destroy", memory);
            }
        }
    }

    private void run(MemorySegment primitive) {
        int status = NativeLibraries.unchecked(() -> (int) execute.invokeExact(primitive, stream, 3, arguments));
        if (status != 0) {
            throw new IllegalStateException("dnnl_primitive_execute: status " + status);
        }
        call("dnnl_stream_wait", stream);
    }

    /** An array of struct { int arg; dnnl_memory_t memory; }. */
    private void argument(int index, int name, MemorySegment memory) {
        arguments.set(ValueLayout.JAVA_INT, index * 16L, name);
        arguments.set(ADDRESS, index * 16L + 8, memory);
    }

    private static MemorySegment start(Matrix matrix) {
        if (matrix.rowStride() != matrix.columns()) {
            throw new IllegalArgumentException("matrix: expected dense rows, found " + matrix.describe());
        }
        return matrix.segment().asSlice(matrix.index(0, 0) * matrix.type().bytes());
    }

    /** Ends the stream and the engine. */
    void close() {
        call("dnnl_stream_destroy", stream);
        call("dnnl_engine_destroy", engine);
        arena.close();
    }
}
