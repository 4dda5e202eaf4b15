package dev.dropless.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.dropless.blocksparse.BlockSparseMatrix;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.reference.ReferenceBackend;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.BlockSparseKernels;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.topology.BlockPattern;
import dev.dropless.topology.MoeBlockPattern;
import dev.dropless.topology.Topology;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The cuSPARSE back end over the mock driver and a mock of cuSPARSE that computes with the layouts that NVIDIA documents. */
class EmulatedCusparseTest {

    private static MockDriver driver;
    private static Path library;
    private static SymbolLookup cusparse;

    @BeforeAll
    static void load() {
        driver = MockDriver.emulating();
        library = MockDriver.compile(
                "gcc",
                List.of("-Wl,-soname,libcusparse.so.12", "-Wl,--default-symver"),
                "libcusparse.c",
                "libcusparse.so.12");
        cusparse = SymbolLookup.libraryLookup(library, Arena.global());
    }

    @AfterAll
    static void nothingIsLeft() throws Throwable {
        assertThat(driver.openHandles()).isZero();
        assertThat(driver.openBytes()).isZero();
        assertThat(count("mock_cusparse_open")).isZero();
    }

    private static long count(String function) throws Throwable {
        return (long) Linker.nativeLinker()
                .downcallHandle(cusparse.find(function).orElseThrow(), FunctionDescriptor.of(ValueLayout.JAVA_LONG))
                .invokeExact();
    }

    private static CusparseKernels open() {
        assertThat(CusparseLibrary.availability(driver.availability(), library.toString())
                        .isAvailable())
                .isTrue();
        return new CusparseKernels(
                CudaKernels.open(driver.availability(), CusparseBackend.NAME, BackendOptions.threads(1)));
    }

    /** An empty expert, one with rows for one block, others; every token in one to three of them. */
    private static Topology topology(int tokens) {
        return Topology.of(
                IntStream.range(0, tokens * 2)
                        .map(s -> s % 2 == 0 ? 1 + s % 3 : s % 7 == 1 ? 0 : Topology.UNASSIGNED)
                        .toArray(),
                2,
                5);
    }

    private static Matrix random(
            Kernels kernels, KernelMemory.Scope scope, ElementType type, long rows, long columns, long seed, int gap) {
        SplittableRandom random = new SplittableRandom(seed);
        double[] values = random.doubles(rows * columns, -1, 1).toArray();
        Matrix exact = Matrix.allocate(Arena.ofAuto(), type, rows, columns); // the same numbers for every back end
        exact.copyFrom(Matrix.of(values, rows, columns));
        Matrix wide = scope.allocate(type, rows, columns + gap);
        Matrix matrix = wide.sliceColumns(0, columns);
        kernels.memory().copy(exact, matrix);
        return matrix;
    }

    private static double[] dsd(
            Kernels kernels, BlockPattern pattern, ElementType type, Transpose tb, boolean accumulate) {
        try (KernelMemory.Scope scope = kernels.memory().open()) {
            int width = 37;
            Matrix s = random(kernels, scope, type, 1, pattern.elements(), 1, 0);
            Matrix b = tb == Transpose.N
                    ? random(kernels, scope, type, pattern.columns(), width, 2, 3)
                    : random(kernels, scope, type, width, pattern.columns(), 2, 3);
            Matrix c = random(kernels, scope, type, pattern.rows(), width, 3, 5);
            kernels.blockSparse().dsd(new BlockSparseMatrix(pattern, s), Transpose.N, b, tb, c, accumulate);
            double[] result = new double[Math.toIntExact(c.rows() * c.columns())];
            kernels.memory().copy(c, Matrix.of(result, c.rows(), c.columns()));
            return result;
        }
    }

    @Test
    void productsEqualTheReference() throws Throwable {
        int products = 0;
        long before = count("mock_cusparse_products");
        try (CusparseKernels kernels = open();
                Kernels reference = new ReferenceBackend().open(BackendOptions.threads(1))) {
            assertThat(kernels.description()).startsWith("cuSPARSE on device 0");
            for (ElementType type : List.of(ElementType.F32, ElementType.BF16, ElementType.F16)) {
                for (int tokens : new int[] {0, 1, 40}) {
                    for (int blockSize : new int[] {8, 16}) {
                        BlockPattern pattern = MoeBlockPattern.padded(topology(tokens), blockSize, 48);
                        for (Transpose tb : Transpose.values()) {
                            for (boolean accumulate : new boolean[] {false, true}) {
                                double[] expected = dsd(reference, pattern, type, tb, accumulate);
                                double[] found = dsd(kernels, pattern, type, tb, accumulate);
                                double step =
                                        type == ElementType.F32 ? 1e-6 : type == ElementType.F16 ? 0x1p-10 : 0x1p-7;
                                for (int i = 0; i < expected.length; i++) {
                                    assertThat(Math.abs(found[i] - expected[i]))
                                            .as("%s T=%d B=%d %s %b [%d]", type, tokens, blockSize, tb, accumulate, i)
                                            .isLessThanOrEqualTo(
                                                    step * Math.abs(expected[i]) + 1e-5); // one unit in the last place
                                }
                                products += expected.length > 0 ? 1 : 0;
                            }
                        }
                    }
                }
            }
        }
        assertThat(count("mock_cusparse_products") - before).isEqualTo(products).isPositive();
    }

    @Test
    void whatItHasNotIsRefusedByName() {
        try (CusparseKernels kernels = open();
                KernelMemory.Scope scope = kernels.memory().open()) {
            BlockSparseKernels products = kernels.blockSparse();
            Matrix m = scope.allocate(ElementType.F32, 8, 8);
            BlockPattern ragged = MoeBlockPattern.exact(topology(11), 8, 16);
            BlockPattern odd = MoeBlockPattern.padded(topology(11), 12, 24);
            assertRefused("gemm", () -> products.gemm(m, Transpose.N, m, Transpose.N, m, false));
            assertRefused("with ragged blocks", () -> dsd(kernels, ragged, ElementType.F32, Transpose.N, false));
            assertRefused(
                    "in BF16 with blocks of 12, no power of two",
                    () -> dsd(kernels, odd, ElementType.BF16, Transpose.N, false));
            assertRefused("expert path", kernels::experts);
        }
    }

    private static void assertRefused(String what, org.assertj.core.api.ThrowableAssert.ThrowingCallable call) {
        assertThatExceptionOfType(UnsupportedOperationException.class)
                .isThrownBy(call)
                .withMessageContaining("backend cusparse has no ")
                .withMessageContaining(what)
                .withMessageEndingWith("choose backend cuda");
    }
}
