package dev.dropless.benchmarks.peers;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.dropless.benchmarks.DenseWeights;
import dev.dropless.benchmarks.ExpertProducts;
import dev.dropless.benchmarks.GemmArm;
import dev.dropless.benchmarks.LayerTask;
import dev.dropless.blocksparse.Matrix;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** cblas_sgemm of OpenBLAS, row-major, without copies. */
final class OpenBlas implements GemmArm.Gemm {

    private static final int ROW_MAJOR = 101;
    private static final int NO_TRANS = 111;

    private final MethodHandle sgemm;
    private final String description;

    /**
     * Loads the library.
     *
     * @param core value of OPENBLAS_CORETYPE, or null for the library's own choice
     * @param threads threads of the library
     */
    OpenBlas(@Nullable String core, int threads) {
        if (core != null) {
            NativeLibraries.environment("OPENBLAS_CORETYPE", core);
        }
        NativeLibraries library = new NativeLibraries(
                "org/bytedeco/openblas/linux-x86_64",
                List.of("libquadmath.so.0", "libgfortran.so.5", "libopenblas.so.0"));
        sgemm = library.function(
                "cblas_sgemm",
                FunctionDescriptor.ofVoid(
                        JAVA_INT,
                        JAVA_INT,
                        JAVA_INT,
                        JAVA_INT,
                        JAVA_INT,
                        JAVA_INT,
                        JAVA_FLOAT,
                        ADDRESS,
                        JAVA_INT,
                        ADDRESS,
                        JAVA_INT,
                        JAVA_FLOAT,
                        ADDRESS,
                        JAVA_INT));
        NativeLibraries.call(
                library.function("openblas_set_num_threads", FunctionDescriptor.ofVoid(JAVA_INT)), threads);
        description = "OpenBLAS 0.3.31, core %s, %d threads"
                .formatted(
                        NativeLibraries.text(NativeLibraries.call(
                                library.function("openblas_get_corename", FunctionDescriptor.of(ADDRESS)))),
                        threads);
    }

    @Override
    public void multiply(Matrix a, Matrix b, Matrix c) {
        MemorySegment left = address(a);
        MemorySegment right = address(b);
        MemorySegment result = address(c);
        NativeLibraries.unchecked(() -> {
            sgemm.invokeExact(
                    ROW_MAJOR,
                    NO_TRANS,
                    NO_TRANS,
                    (int) a.rows(),
                    (int) b.columns(),
                    (int) a.columns(),
                    1f,
                    left,
                    (int) a.rowStride(),
                    right,
                    (int) b.rowStride(),
                    0f,
                    result,
                    (int) c.rowStride());
            return c;
        });
    }

    private static MemorySegment address(Matrix matrix) {
        return matrix.segment().asSlice(matrix.index(0, 0) * matrix.type().bytes());
    }

    @Override
    public String description() {
        return description;
    }

    @Override
    public void close() {}

    /** A task's experts with this product. */
    ExpertProducts products(LayerTask task) {
        return new Products(task);
    }

    private final class Products implements ExpertProducts {
        private final Arena arena = Arena.ofShared();
        private final DenseWeights weights;

        Products(LayerTask task) {
            weights = new DenseWeights(task, arena);
        }

        @Override
        public void up(int expert, Matrix rows, Matrix pre) {
            multiply(rows, weights.up(expert), pre);
        }

        @Override
        public void down(int expert, Matrix hidden, Matrix out) {
            multiply(hidden, weights.down(expert), out);
        }

        @Override
        public String description() {
            return description;
        }

        @Override
        public void close() {
            arena.close();
        }
    }
}
