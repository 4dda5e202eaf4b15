package dev.dropless.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.BlockSparseMatrix;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.topology.BlockPattern;
import dev.dropless.topology.MoeBlockPattern;
import dev.dropless.topology.Topology;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** The Hopper engine beside the portable one, both on the CPU: same results, and which of them computed. */
class EmulatedHopperTest {

    private static final HopperTuning CARRIED = HopperTuning.load();

    private static final HopperTuning PAIRS = HopperTuningTest.PAIRS;

    private static final HopperTuning DECODE64 = HopperTuningTest.read(HopperTuningTest.LEAST
            + "up.0=variant:decode64 cluster:1 group:1\ndown.0=variant:decode64 cluster:1 group:1\n"
            + "up_wgrad.0=variant:short cluster:2 group:1\ndown_wgrad.0=variant:short cluster:1 group:1\n");

    private static MockDriver driver;

    @BeforeAll
    static void load() {
        driver = MockDriver.emulating();
    }

    @AfterAll
    static void nothingIsLeft() {
        assertThat(driver.openHandles()).isZero();
        assertThat(driver.openBytes()).isZero();
    }

    /** A layer. */
    private record Size(int tokens, int hidden, int ffn, int experts, int topK, boolean gated) {

        ExpertShape shape() {
            return new ExpertShape(experts, hidden, ffn, gated, gated, !gated);
        }

        /** Uneven, with the last of several experts empty. */
        Topology topology() {
            SplittableRandom random = new SplittableRandom(tokens + 31L * experts);
            int usable = experts > topK ? experts - 1 : experts;
            int[] ids = new int[tokens * topK];
            for (int t = 0; t < tokens; t++) {
                int first = random.nextInt(3) == 0 ? random.nextInt(usable) : 0;
                for (int j = 0; j < topK; j++) {
                    ids[t * topK + j] = (first + j) % usable;
                }
            }
            return Topology.of(ids, topK, experts);
        }
    }

    private static final Map<HopperTuning, List<Size>> SIZES = Map.of(
            CARRIED, List.of(new Size(7, 64, 72, 5, 2, true), new Size(150, 136, 64, 3, 2, false)),
            PAIRS,
                    List.of(
                            new Size(1, 8, 8, 1, 1, true),
                            new Size(150, 72, 136, 4, 2, true),
                            new Size(140, 64, 264, 2, 1, false)),
            DECODE64, List.of(new Size(70, 136, 136, 3, 2, true), new Size(20, 64, 264, 3, 1, false)));

    @TestFactory
    Stream<DynamicTest> productsAreThoseOfThePortableEngine() {
        List<DynamicTest> tests = new ArrayList<>();
        SIZES.forEach((tuning, sizes) -> {
            for (Size size : sizes) {
                for (ElementType type : List.of(ElementType.BF16, ElementType.F16)) {
                    tests.add(DynamicTest.dynamicTest(type + " " + size, () -> compare(tuning, size, type)));
                }
            }
        });
        return tests.stream();
    }

    private void compare(HopperTuning tuning, Size size, ElementType type) {
        Map<String, double[]> expected;
        try (CudaKernels portable = driver.open(CudaEngine.PORTABLE, tuning, 1)) {
            expected = run(portable, size, type);
        }
        try (CudaKernels hopper = driver.open(CudaEngine.HOPPER, tuning, 1)) {
            Map<String, double[]> found = run(hopper, size, type);
            assertThat(hopper.hopper().taken()).isEqualTo(8);
            assertThat(hopper.hopper().refused()).isZero();
            double tolerance = type == ElementType.BF16 ? 6e-3 : 8e-4;
            expected.forEach((name, values) -> LayerContract.assertClose(found.get(name), values, tolerance, name));
        }
    }

    private static Matrix filled(
            CudaKernels kernels, KernelMemory.Scope scope, ElementType type, long rows, long columns, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        double[] values = random.doubles(rows * columns, -1, 1).toArray();
        Matrix matrix = scope.allocate(type, rows, columns);
        kernels.memory().copy(Matrix.of(values, rows, columns), matrix);
        return matrix;
    }

    private static double[] read(CudaKernels kernels, Matrix matrix) {
        double[] values = new double[Math.toIntExact(matrix.rows() * matrix.columns())];
        kernels.memory().copy(matrix, Matrix.of(values, matrix.rows(), matrix.columns()));
        return values;
    }

    /** All operations, forward and backward; results by name. */
    private static Map<String, double[]> run(CudaKernels kernels, Size size, ElementType type) {
        ExpertShape shape = size.shape();
        Topology topology = size.topology();
        ExpertKernels experts = kernels.experts();
        Activation activation = Activation.of(size.gated ? Activation.Function.SILU : Activation.Function.GELU_TANH);
        Map<String, double[]> results = new LinkedHashMap<>();
        try (KernelMemory.Scope scope = kernels.memory().open();
                ExpertWeights weights = experts.allocate(shape, type);
                ExpertWeights gradients = experts.allocate(shape, ElementType.F32);
                ExpertPlan plan = experts.plan(topology)) {
            long seed = 1;
            for (Matrix part : weights.storage()) {
                Matrix values = filled(kernels, scope, type, 1, part.columns(), seed++);
                kernels.memory().copy(values, part);
            }
            int n = topology.rows();
            int h = shape.hiddenSize();
            int f = shape.ffnHiddenSize();
            int p = shape.preActivations();
            Matrix x = filled(kernels, scope, type, size.tokens, h, 11);
            Matrix dY = filled(kernels, scope, type, size.tokens, h, 12);
            Matrix v = filled(kernels, scope, ElementType.F32, size.tokens, size.topK, 13);
            Matrix pre = scope.allocate(type, n, p);
            Matrix hidden = scope.allocate(type, n, f);
            Matrix out = scope.allocate(type, n, h);
            Matrix dPre = scope.allocate(type, n, p);
            Matrix again = scope.allocate(type, n, f);
            Matrix dRows = scope.allocate(type, n, h);
            Matrix dV = scope.allocate(ElementType.F32, size.tokens, size.topK);
            experts.up(plan, x, v, weights, activation, null, hidden);
            experts.up(plan, x, null, weights, activation, pre, hidden);
            experts.down(plan, hidden, weights, out);
            experts.downDgrad(plan, dY, v, weights, activation, pre, again, true, dPre, dV);
            experts.downDgrad(plan, dY, v, weights, activation, pre, hidden, false, dPre, dV);
            experts.downWgrad(plan, hidden, dY, v, gradients);
            experts.upDgrad(plan, dPre, weights, dRows);
            experts.upWgrad(plan, x, null, dPre, gradients);
            Map.of(
                            "pre",
                            pre,
                            "hidden",
                            hidden,
                            "out",
                            out,
                            "recomputed",
                            again,
                            "dPre",
                            dPre,
                            "dRows",
                            dRows,
                            "dV",
                            dV)
                    .forEach((name, matrix) -> results.put(name, read(kernels, matrix)));
            int next = 0;
            for (Matrix part : gradients.storage()) {
                results.put("gradient " + next++, read(kernels, part));
            }
        }
        return results;
    }

    /** F32, two types, sizes that are no multiples of eight. */
    @Test
    void whatTheEngineDoesNotTakeGoesToThePortableOne() {
        for (Size size : List.of(
                new Size(9, 20, 12, 3, 2, true), new Size(9, 64, 12, 3, 2, false), new Size(0, 64, 64, 2, 1, true))) {
            compareRefused(size, ElementType.BF16);
        }
        compareRefused(new Size(9, 64, 64, 3, 2, true), ElementType.F32);
    }

    private void compareRefused(Size size, ElementType type) {
        Map<String, double[]> expected;
        try (CudaKernels portable = driver.open(CudaEngine.PORTABLE, CARRIED, 1)) {
            expected = run(portable, size, type);
            assertThat(portable.hopper()).isNull();
        }
        try (CudaKernels hopper = driver.open(CudaEngine.HOPPER, CARRIED, 1)) {
            Map<String, double[]> found = run(hopper, size, type);
            assertThat(hopper.hopper().taken()).isZero();
            assertThat(hopper.hopper().refused()).isEqualTo(8);
            expected.forEach(
                    (name, values) -> assertThat(found.get(name)).as(name).isEqualTo(values));
        }
    }

    @Test
    void rowsThatDoNotBeginAtMultiplesOf16BytesGoToThePortableEngine() {
        try (CudaKernels kernels = driver.open(CudaEngine.HOPPER, CARRIED, 1);
                KernelMemory.Scope scope = kernels.memory().open()) {
            Matrix a = filled(kernels, scope, ElementType.BF16, 20, 72, 1);
            Matrix b = filled(kernels, scope, ElementType.BF16, 24, 72, 2);
            Matrix c = scope.allocate(ElementType.BF16, 20, 24);
            kernels.blockSparse().gemm(a, Transpose.N, b, Transpose.T, c, false);
            assertThat(kernels.hopper().taken()).isEqualTo(1);
            Matrix shifted = a.slice(0, 20, 4, 64);
            kernels.blockSparse().gemm(shifted, Transpose.N, b.slice(0, 24, 0, 64), Transpose.T, c, false);
            assertThat(kernels.hopper().refused()).isEqualTo(1);
            kernels.blockSparse().gemm(a.slice(0, 20, 8, 64), Transpose.N, b.slice(0, 24, 0, 64), Transpose.T, c, true);
            assertThat(kernels.hopper().taken()).isEqualTo(2);
        }
    }

    /** Products of blocks, in all transpositions, some added to, some into another type. */
    @TestFactory
    Stream<DynamicTest> blockProductsAreThoseOfThePortableEngine() {
        Topology topology = new Size(60, 64, 64, 3, 2, true).topology();
        List<DynamicTest> tests = new ArrayList<>();
        for (BlockPattern pattern : List.of(
                MoeBlockPattern.exact(topology, 32, 64),
                MoeBlockPattern.padded(topology, 64, 128),
                MoeBlockPattern.padded(topology, 256, 256))) {
            for (Transpose ta : Transpose.values()) {
                for (Transpose tb : Transpose.values()) {
                    tests.add(DynamicTest.dynamicTest(
                            "B = %d, %s%s".formatted(pattern.blockSize(), ta, tb),
                            () -> compareBlocks(pattern, ta, tb)));
                }
            }
        }
        return tests.stream();
    }

    private void compareBlocks(BlockPattern pattern, Transpose ta, Transpose tb) {
        ElementType type = pattern.blockSize() == 64 ? ElementType.F16 : ElementType.BF16;
        Map<String, double[]> expected;
        try (CudaKernels portable = driver.open(CudaEngine.PORTABLE, PAIRS, 1)) {
            expected = blockProducts(portable, type, pattern, ta, tb);
        }
        try (CudaKernels hopper = driver.open(CudaEngine.HOPPER, PAIRS, 1)) {
            Map<String, double[]> found = blockProducts(hopper, type, pattern, ta, tb);
            boolean ragged = pattern.blockSize() == 32;
            assertThat(hopper.hopper().taken()).isGreaterThanOrEqualTo(ragged ? 2 : 5);
            expected.forEach((name, values) -> LayerContract.assertClose(found.get(name), values, 5e-3, name));
        }
    }

    private static Matrix stored(
            CudaKernels kernels,
            KernelMemory.Scope scope,
            ElementType type,
            long rows,
            long columns,
            Transpose t,
            long seed) {
        // Rows begin at multiples of 16 bytes, whatever their length.
        long r = t == Transpose.N ? rows : columns;
        long c = t == Transpose.N ? columns : rows;
        return filled(kernels, scope, type, r, Math.ceilDiv(c, 8L) * 8, seed).slice(0, r, 0, c);
    }

    private static Map<String, double[]> blockProducts(
            CudaKernels kernels, ElementType type, BlockPattern pattern, Transpose ta, Transpose tb) {
        Map<String, double[]> results = new LinkedHashMap<>();
        long m = pattern.rows();
        long n = pattern.columns();
        int other = 72;
        try (KernelMemory.Scope scope = kernels.memory().open()) {
            Matrix data = filled(kernels, scope, type, 1, pattern.elements(), 1);
            BlockSparseMatrix s = new BlockSparseMatrix(pattern, data);
            boolean plain = ta == Transpose.N;
            Matrix c = filled(kernels, scope, ElementType.F32, plain ? m : n, other, 2);
            kernels.blockSparse().dsd(s, ta, stored(kernels, scope, type, plain ? n : m, other, tb, 3), tb, c, true);
            results.put("dsd", read(kernels, c));
            Matrix overwritten = scope.allocate(type, plain ? m : n, other);
            kernels.blockSparse()
                    .dsd(s, ta, stored(kernels, scope, type, plain ? n : m, other, tb, 3), tb, overwritten, false);
            results.put("dsd overwritten", read(kernels, overwritten));
            boolean straight = tb == Transpose.N;
            Matrix d = scope.allocate(type, other, straight ? n : m);
            kernels.blockSparse()
                    .dds(stored(kernels, scope, type, other, straight ? m : n, ta, 4), ta, s, tb, d, false);
            results.put("dds", read(kernels, d));
            Matrix e = scope.allocate(type, 130, 264);
            kernels.blockSparse()
                    .gemm(
                            stored(kernels, scope, type, 130, other, ta, 5),
                            ta,
                            stored(kernels, scope, type, other, 264, tb, 6),
                            tb,
                            e,
                            false);
            results.put("gemm", read(kernels, e));
            kernels.blockSparse()
                    .sdd(
                            stored(kernels, scope, type, m, other, ta, 7),
                            ta,
                            stored(kernels, scope, type, other, n, tb, 8),
                            tb,
                            s);
            results.put("sdd", read(kernels, data));
        }
        return results;
    }

    @Test
    void theEngineIsChosenByDeviceAndCanBeForced() {
        driver.device(13000, 80, 1);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> driver.open(CudaEngine.HOPPER, CARRIED, 1))
                .withMessageContaining(
                        "dropless.cuda.engine: expected a device of compute capability 9.0 for hopper, found")
                .withMessageContaining("kernels sm_80");
        for (int architecture : new int[] {80, 89, 90, 120}) {
            driver.device(13000, architecture, 1);
            try (CudaKernels kernels = driver.open(null, CARRIED, 1)) {
                assertThat(kernels.engine()).isEqualTo(architecture == 90 ? CudaEngine.HOPPER : CudaEngine.PORTABLE);
                assertThat(kernels.description())
                        .endsWith("engine " + kernels.engine().lowerCase());
            }
        }
        driver.device(13000, 90, 1);
        assertThat(CudaEngine.asked(null)).isNull();
        assertThat(CudaEngine.asked("portable")).isEqualTo(CudaEngine.PORTABLE);
        assertThat(CudaEngine.asked("hopper")).isEqualTo(CudaEngine.HOPPER);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> CudaEngine.asked("fast"))
                .withMessageContaining("dropless.cuda.engine: expected portable or hopper, found \"fast\"");
    }

    /** Here the kernel's maps hold plain fields, and the driver's one byte repeated: what differs is named. */
    @Test
    void diagnosticsTellWhatWasComputedWhereAndWhetherMapsAreTheDrivers() {
        try (CudaKernels kernels = driver.open(CudaEngine.HOPPER, CARRIED, 1)) {
            assertThat(kernels.diagnostics())
                    .containsEntry("engine", "hopper")
                    .containsEntry("products taken", "0")
                    .hasEntrySatisfying(
                            "tensor maps",
                            found -> assertThat(found)
                                    .contains(
                                            "columns=64, rows=128",
                                            "word 1 is 0000000000000001, the driver's abababababababab"));
            assertThat(driver.log())
                    .anyMatch(line ->
                            line.matches("tensor map type 9 rank 2 at .*: 64\\[box 64 step 1] 128\\(stride 128\\)"
                                    + "\\[box 128 step 1] interleave 0 swizzle 3 promotion 0 fill 0"));
        }
        try (CudaKernels kernels = driver.open(CudaEngine.PORTABLE, CARRIED, 1)) {
            assertThat(kernels.diagnostics()).containsExactly(Map.entry("engine", "portable"));
        }
    }

    /** Maps are made once, again for other matrices, and again where others took their place. */
    @Test
    void mapsAreKeptAsLongAsThereIsRoom() {
        try (CudaKernels kernels = driver.open(CudaEngine.HOPPER, CARRIED, 1);
                TensorMaps maps = new TensorMaps(kernels.memory(), kernels.stream(), kernels.launcher(), 2);
                KernelMemory.Scope scope = kernels.memory().open()) {
            List<List<TensorMaps.Fields>> sets = Stream.of(8, 16, 24)
                    .map(columns -> List.of(TensorMaps.Fields.of(scope.allocate(ElementType.F16, 3, columns), 64)))
                    .toList();
            List<Long> places = new ArrayList<>();
            for (int i : new int[] {0, 1, 0, 2, 0, 1}) {
                maps.with(sets.get(i), places::add);
            }
            assertThat(maps.made()).isEqualTo(4);
            assertThat(places.get(2))
                    .isEqualTo(places.get(0))
                    .isEqualTo(places.get(4))
                    .isNotEqualTo(places.get(1));
            assertThat(places.get(3)).isEqualTo(places.get(1)).isEqualTo(places.get(5));
            assertThat(places).allMatch(address -> address % 128 == 0);
        }
    }

    /** Those of a recording are made once, behind it; without a place for them the graph makes them each time. */
    @Test
    void mapsOfARecordingAreItsOwn() {
        try (CudaKernels kernels = driver.open(CudaEngine.HOPPER, CARRIED, 1);
                TensorMaps maps = new TensorMaps(kernels.memory(), kernels.stream(), kernels.launcher(), 2);
                KernelMemory.Scope scope = kernels.memory().open()) {
            List<List<TensorMaps.Fields>> sets = Stream.of(8, 16, 24)
                    .map(columns -> List.of(TensorMaps.Fields.of(scope.allocate(ElementType.F16, 3, columns), 64)))
                    .toList();
            List<Long> places = new ArrayList<>();
            maps.with(sets.get(0), places::add);
            driver.log();
            try (TensorMaps.Recorded recorded = maps.beginRecording()) {
                kernels.stream().beginCapture();
                for (int i : new int[] {0, 1, 0, 2}) {
                    maps.with(sets.get(i), places::add);
                }
                assertThat(driver.log().stream().filter(line -> line.startsWith("launch")))
                        .singleElement()
                        .asString()
                        .matches("launch dropless_tensor_maps .* recorded:.*");
                try (DeviceGraph graph = kernels.stream().endCapture()) {
                    recorded.make();
                    assertThat(driver.log())
                            .hasSize(2)
                            .allMatch(line -> line.startsWith("launch dropless_tensor_maps "))
                            .noneMatch(line -> line.contains("recorded"));
                    graph.launch(kernels.stream());
                }
            }
            assertThat(places.get(1)).isEqualTo(places.get(3));
            assertThat(places.stream().distinct()).hasSize(4);
            maps.with(sets.get(0), places::add);
            assertThat(places.getLast()).isEqualTo(places.getFirst());
        }
    }

    /** A set whose maps could not be made is not taken for made. */
    @Test
    void mapsThatCouldNotBeMadeAreMadeNextTime() {
        try (CudaKernels kernels = driver.open(CudaEngine.HOPPER, CARRIED, 1);
                TensorMaps maps = new TensorMaps(kernels.memory(), kernels.stream(), kernels.launcher(), 2);
                KernelMemory.Scope scope = kernels.memory().open()) {
            List<TensorMaps.Fields> set = List.of(TensorMaps.Fields.of(scope.allocate(ElementType.F16, 3, 8), 64));
            maps.with(set, address -> {});
            List<TensorMaps.Fields> other = List.of(TensorMaps.Fields.of(scope.allocate(ElementType.F16, 3, 16), 64));
            driver.fail("cuLaunchKernel", 719);
            org.assertj.core.api.Assertions.assertThatExceptionOfType(CudaException.class)
                    .isThrownBy(() -> maps.with(other, address -> {}));
            driver.log();
            maps.with(other, address -> {});
            assertThat(driver.log())
                    .anyMatch(line -> line.startsWith("launch dropless_tensor_maps grid 1x1x1 block 32"));
        }
    }

    /** Sixteen-bit gradients are added to in place. */
    @Test
    void gradientsMayHaveAnyTypeOfTheKernels() {
        for (ElementType type : List.of(ElementType.BF16, ElementType.F16)) {
            double[][] found = new double[2][];
            for (CudaEngine engine : CudaEngine.values()) {
                try (CudaKernels kernels = driver.open(engine, CARRIED, 1);
                        KernelMemory.Scope scope = kernels.memory().open();
                        ExpertWeights gradients =
                                kernels.experts().allocate(new ExpertShape(2, 64, 72, false, false, false), type);
                        ExpertPlan plan = kernels.experts().plan(Topology.of(new int[] {0, 1, 0, 0, 1}, 1, 2))) {
                    Matrix hidden = filled(kernels, scope, ElementType.BF16, 5, 72, 1);
                    Matrix dY = filled(kernels, scope, ElementType.BF16, 5, 64, 2);
                    kernels.experts().downWgrad(plan, hidden, dY, null, gradients);
                    kernels.experts().downWgrad(plan, hidden, dY, null, gradients);
                    double[] values = new double[64 * 72];
                    gradients.store(WeightPart.DOWN, 1, Matrix.of(values, 64, 72), Transpose.T);
                    found[engine.ordinal()] = values;
                }
            }
            LayerContract.assertClose(found[1], found[0], 5e-3, type.toString());
        }
    }
}
