package dev.dropless.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.topology.Topology;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Every arm computes its task, and the check that says so finds what is wrong. */
class ArmsTest {

    private static final MoeShape TINY = MoeShape.named("tiny");

    private static Stream<Task> tasks() {
        return Stream.of(RoutingPattern.values())
                .flatMap(pattern -> Stream.of(
                        new LayerTask(TINY, 37, pattern, false, "f32", 1),
                        new LayerTask(TINY, 37, pattern, true, "f32", 2),
                        new LayerTask(TINY, 37, pattern, false, "bf16", 1),
                        new TopologyTask(37, 6, 2, pattern, 1),
                        product(ProductTask.Product.SDD, pattern),
                        product(ProductTask.Product.DSD, pattern),
                        product(ProductTask.Product.DDS, pattern)));
    }

    /** Every operation, gated and not, in every type that has it. */
    private static Stream<Task> operations() {
        return Stream.of(Operation.values())
                .flatMap(operation -> Stream.of(
                        operation(operation, TINY, RoutingPattern.HOLES, "f32", 2),
                        operation(operation, TINY, RoutingPattern.ZIPF, "bf16", 1),
                        operation(operation, ungated(), RoutingPattern.ONE_HOT, "f32", 1),
                        operation(operation, TINY, RoutingPattern.UNIFORM, operation.backward() ? "f32" : "int8", 1)));
    }

    private static Task operation(
            Operation operation, MoeShape shape, RoutingPattern pattern, String dtype, int threads) {
        return OperationTask.of(operation, shape, 37, pattern, dtype, threads);
    }

    private static ProductTask product(ProductTask.Product product, RoutingPattern pattern) {
        // 290 rows of an expert where it is hot: more than two blocks, the last one partial.
        return ProductTask.of(product, TINY, 290, pattern, 1);
    }

    @TestFactory
    Stream<DynamicTest> everyArmPassesItsCheck() {
        return Stream.concat(
                        Stream.concat(tasks(), operations()),
                        Stream.of(
                                new GemmTask(7, 33, 65, 1),
                                new LayerTask(TINY, 1, RoutingPattern.UNIFORM, true, "f32", 1),
                                new LayerTask(ungated(), 19, RoutingPattern.ZIPF, true, "f32", 1),
                                new LayerTask(ungated(), 19, RoutingPattern.ZIPF, false, "bf16", 1)))
                .flatMap(task -> new OwnArms()
                        .arms(task).stream()
                                .filter(arm -> new OwnArms().unavailable(arm, task) == null)
                                .map(arm -> DynamicTest.dynamicTest(arm + " " + task, () -> passes(arm, task))));
    }

    private static MoeShape ungated() {
        return new MoeShape("ungated", 33, 17, 4, 1, false, 1);
    }

    private static void passes(String arm, Task task) {
        try (Arm opened = new OwnArms().open(arm, task)) {
            assertThat(opened.run()).isNotNull();
            assertThat(opened.check()).isBetween(0.0, 4e-2);
            assertThat(opened.description()).isNotBlank();
            boolean mayDrop = arm.startsWith("padded-cf");
            assertThat(opened.computedFlops()).isGreaterThanOrEqualTo(mayDrop ? 0 : task.usefulFlops());
        }
    }

    @Test
    void theMainArmsAreAvailable() {
        LayerTask task = new LayerTask(TINY, 5, RoutingPattern.UNIFORM, false, "f32", 1);
        assertThat(Stream.of("dropless", "dropless-vector", "dropless-scalar", "padded-max", "padded-cf1.0", "loop"))
                .allSatisfy(
                        arm -> assertThat(new OwnArms().unavailable(arm, task)).isNull());
    }

    @Test
    void paddingCountsAsWorkDoneNotAsUseful() {
        LayerTask task = new LayerTask(TINY, 37, RoutingPattern.ONE_HOT, false, "f32", 1);
        try (Arm padded = new OwnArms().open("padded-max", task)) {
            // Two of six experts get all 37 tokens each: three times the useful rows.
            assertThat(padded.computedFlops()).isEqualTo(3 * task.usefulFlops());
        }
        assertThat(task.usefulFlops()).isEqualTo(2.0 * 37 * 2 * 48 * 40 * 3);
    }

    @Test
    void oneWrongElementOfTheOutputFails() {
        LayerTask task = new LayerTask(TINY, 9, RoutingPattern.ZIPF, false, "f32", 1);
        try (Arena arena = Arena.ofConfined();
                ExpertLoop arm = (ExpertLoop) new OwnArms().open("loop", task)) {
            Matrix good = (Matrix) arm.run();
            Matrix y = Matrix.allocate(arena, ElementType.F32, good.rows(), good.columns());
            y.copyFrom(good);
            Topology topology = task.topology();
            assertThat(LayerCheck.check(task, new LayerCheck.Results(topology, y, null, null)))
                    .isLessThan(1e-5);
            y.set(8, 47, y.get(8, 47) + 0.01);
            assertThatExceptionOfType(Arm.CheckFailed.class)
                    .isThrownBy(() -> LayerCheck.check(task, new LayerCheck.Results(topology, y, null, null)))
                    .withMessageContaining("y[8], element 47");
            y.copyFrom(good);
            y.set(4, 0, Double.NaN);
            assertThatExceptionOfType(Arm.CheckFailed.class)
                    .isThrownBy(() -> LayerCheck.check(task, new LayerCheck.Results(topology, y, null, null)));
        }
    }

    /** What is counted for the whole is what is counted for its products. */
    @Test
    void operationsCountTheWorkOfThePass() {
        LayerTask layer = new LayerTask(TINY, 37, RoutingPattern.ZIPF, true, "f32", 1);
        double products = Stream.of("up", "down", "downDgrad", "downWgrad", "upDgrad", "upWgrad")
                .mapToDouble(word -> operation(Operation.of(word), TINY, RoutingPattern.ZIPF, "f32", 1)
                        .usefulFlops())
                .sum();
        assertThat(products).isEqualTo(layer.usefulFlops());
        Task combine = operation(Operation.COMBINE, TINY, RoutingPattern.ZIPF, "f32", 1);
        assertThat(combine.usefulFlops()).isEqualTo(2.0 * 37 * 2 * 48);
        assertThat(combine.compulsoryBytes()).isEqualTo(4.0 * (37 * 2 + 37) * 48);
        Task wgrad = operation(Operation.UP_WGRAD, TINY, RoutingPattern.ZIPF, "bf16", 1);
        assertThat(wgrad.compulsoryBytes()).isEqualTo(6 * 48 * 80 * 8.0 + 2.0 * 37 * (2 * 80 + 48));
    }

    /** One wrong element among those that are compared fails, whichever operation it is. */
    @ParameterizedTest
    @EnumSource(
            value = Operation.class,
            names = {"FORWARD", "FORWARD_BACKWARD"},
            mode = EnumSource.Mode.EXCLUDE)
    void theCheckOfAnOperationLooksAtItsResult(Operation operation) {
        OperationTask task = (OperationTask) operation(operation, TINY, RoutingPattern.ZIPF, "f32", 1);
        try (OperationArm arm = (OperationArm) new OwnArms().open("dropless-scalar", task)) {
            assertThat(arm.check()).isLessThan(1e-5);
            OperationCheck.Operands results = (OperationCheck.Operands) arm.run();
            Matrix result = switch (operation) {
                case UP -> results.hidden();
                case DOWN, UP_DGRAD -> results.rows();
                case COMBINE -> results.y();
                case DOWN_DGRAD -> results.dCombineWeights();
                case AGGREGATE -> results.dX();
                default -> results.x(); // gradients have accumulated two runs
            };
            result.set(0, 0, result.get(0, 0) + 10);
            assertThatExceptionOfType(Arm.CheckFailed.class)
                    .isThrownBy(() -> OperationCheck.check(task, results))
                    .withMessageContaining("[");
        }
    }

    @Test
    void int8WeightsHaveNoBackwardOperations() {
        assertThatExceptionOfType(IllegalArgumentException.class)
                .isThrownBy(() -> operation(Operation.UP_WGRAD, TINY, RoutingPattern.ZIPF, "int8", 1))
                .withMessageContaining("int8");
    }

    @ParameterizedTest
    @EnumSource(RoutingPattern.class)
    void patternsChooseDifferentExpertsForEveryToken(RoutingPattern pattern) {
        int[] ids = pattern.assign(500, 8, 3, 5);
        for (int t = 0; t < 500; t++) {
            assertThat(Arrays.stream(ids, 3 * t, 3 * t + 3).distinct().count()).isEqualTo(3);
        }
        int[] loads = new int[8];
        Arrays.stream(ids).forEach(id -> loads[id]++);
        switch (pattern) {
            case UNIFORM -> assertThat(Arrays.stream(loads)).allMatch(load -> load > 130 && load < 250);
            case ZIPF -> assertThat(loads[0]).isGreaterThan(3 * loads[7]);
            case ONE_HOT -> assertThat(loads).containsExactly(500, 500, 500, 0, 0, 0, 0, 0);
            case HOLES -> {
                assertThat(Arrays.copyOfRange(loads, 6, 8)).containsOnly(0);
                assertThat(IntStream.range(0, 6).map(e -> loads[e])).allMatch(load -> load > 190);
            }
        }
        assertThat(RoutingPattern.of(pattern.word())).isEqualTo(pattern);
        assertThat(pattern.assign(500, 8, 3, 5)).isEqualTo(ids);
    }

    @Test
    void shapesThatDoNotFitAreScaledAndSaySo() {
        assertThat(MoeShape.named("olmoe-1b-7b").ffnDivisor()).isEqualTo(1);
        MoeShape mixtral = MoeShape.named("mixtral-8x7b");
        assertThat(mixtral.ffnHiddenSize() * mixtral.ffnDivisor()).isEqualTo(14336);
        assertThat(mixtral.weightsPerExpert() * 8 * Float.BYTES).isLessThan(2_600_000_000L);
    }

    @ParameterizedTest
    @ValueSource(strings = {"olmo", ""})
    void unknownNamesAreListed(String name) {
        assertThatExceptionOfType(IllegalArgumentException.class)
                .isThrownBy(() -> MoeShape.named(name))
                .withMessageContaining("olmoe-1b-7b");
        assertThatExceptionOfType(IllegalArgumentException.class)
                .isThrownBy(() -> ArmProvider.of(name, new GemmTask(1, 1, 1, 1)))
                .withMessageContaining("dropless-vector");
    }
}
