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

/** cblas_sgemm of some library, row-major, without copies. */
final class Cblas implements GemmArm.Gemm {

    private static final int ROW_MAJOR = 101;
    private static final int NO_TRANS = 111;

    /** MKL_THREADING_INTEL: with libiomp5. */
    private static final int MKL_INTEL = 0;

    private final MethodHandle sgemm;
    private final String description;

    private Cblas(NativeLibraries library, String description) {
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
        this.description = description;
    }

    /**
     * Loads OpenBLAS.
     *
     * @param core value of OPENBLAS_CORETYPE, or null for the library's own choice
     * @param threads threads of the library
     */
    static Cblas openBlas(@Nullable String core, int threads) {
        if (core != null) {
            NativeLibraries.environment("OPENBLAS_CORETYPE", core);
        }
        NativeLibraries library = new NativeLibraries(
                "org/bytedeco/openblas/linux-x86_64",
                List.of("libquadmath.so.0", "libgfortran.so.5", "libopenblas.so.0"));
        NativeLibraries.call(
                library.function("openblas_set_num_threads", FunctionDescriptor.ofVoid(JAVA_INT)), threads);
        String chosen = NativeLibraries.text(
                NativeLibraries.call(library.function("openblas_get_corename", FunctionDescriptor.of(ADDRESS))));
        return new Cblas(library, "OpenBLAS 0.3.31, core %s, %d threads".formatted(chosen, threads));
    }

    /**
     * Loads MKL. Its parts load each other by name, so they stay where they were unpacked.
     *
     * @param threads threads of the library
     */
    static Cblas mkl(int threads) {
        NativeLibraries library = NativeLibraries.kept(
                "org/bytedeco/mkl/linux-x86_64",
                List.of(
                        "libmkl_core.so.2",
                        "libmkl_intel_lp64.so.2",
                        "libmkl_intel_thread.so.2",
                        "libmkl_avx512.so.2",
                        "libmkl_avx2.so.2",
                        "libmkl_def.so.2"),
                List.of("libiomp5.so", "libmkl_rt.so.2"));
        NativeLibraries.call(
                library.function("MKL_Set_Threading_Layer", FunctionDescriptor.of(JAVA_INT, JAVA_INT)), MKL_INTEL);
        NativeLibraries.call(library.function("MKL_Set_Num_Threads", FunctionDescriptor.ofVoid(JAVA_INT)), threads);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment version = arena.allocate(256);
            NativeLibraries.call(
                    library.function("MKL_Get_Version_String", FunctionDescriptor.ofVoid(ADDRESS, JAVA_INT)),
                    version,
                    (int) version.byteSize() - 1);
            return new Cblas(
                    library,
                    "%s, %d threads".formatted(version.getString(0).strip().replaceAll("\\s+", " "), threads));
        }
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
        public Matrix up(int expert, Matrix rows, Matrix pre) {
            multiply(rows, weights.up(expert), pre);
            return pre;
        }

        @Override
        public Matrix down(int expert, Matrix hidden, Matrix out) {
            multiply(hidden, weights.down(expert), out);
            return out;
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
