package dev.dropless.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.dropless.topology.BcsrArrays;
import dev.dropless.topology.MoeBlockPattern;
import dev.dropless.topology.TilePlan;
import dev.dropless.topology.Topology;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.IntToLongFunction;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/**
 * Runs the kernels' own source on the CPU, thread by thread: every kernel against sums in double precision, planted faults that must be
 * noticed, and the topology kernels against the Java builder. Skipped where there is no g++ or the CPU is not x86-64.
 */
class EmulatorTest {

    private static final Path PROGRAMS = Module.FOLDER.resolve("target/emulator");

    /** Faults of {@code device.cuh} in the tile loop. */
    private static final List<String> LOOP_FAULTS = List.of(
            "no-copy-wait",
            "wrong-copy-count",
            "no-stage-barrier",
            "no-tile-barrier",
            "tail-overwrite",
            "no-run-mask",
            "no-row-mask");

    /** Those in the main loop of the Hopper engine. */
    private static final List<String> HOPPER_FAULTS =
            List.of("no-full-wait", "no-empty-wait", "wrong-arrivals", "wrong-bytes", "no-product-wait");

    /** And those of gathered operands. */
    private static final List<String> GATHER_FAULTS =
            List.of("no-proxy-fence", "no-copy-wait", "no-run-mask", "no-row-mask", "tail-overwrite");

    /** Programs, and the faults that each must notice. */
    private static final Map<String, List<String>> FAULTS = new TreeMap<>(Map.of(
            "topology_test",
            List.of("unstable-place"),
            "experts_test",
            LOOP_FAULTS,
            "weight_gradients_test",
            with(LOOP_FAULTS, "no-scale"),
            "block_sparse_test",
            LOOP_FAULTS,
            "hopper_dense_test",
            with(HOPPER_FAULTS, "no-proxy-fence", "stale-staging", "no-sharing"),
            "hopper_experts_test",
            with(HOPPER_FAULTS, GATHER_FAULTS, "stale-staging", "no-sharing", "wrong-turn", "no-turn"),
            "hopper_decode_test",
            with(HOPPER_FAULTS, GATHER_FAULTS),
            "hopper_dgrad_test",
            with(
                    HOPPER_FAULTS,
                    GATHER_FAULTS,
                    "stale-staging",
                    "no-tile-barrier",
                    "no-sharing",
                    "no-stage-barrier",
                    "no-scale",
                    "no-tail-b",
                    "no-partial",
                    "wrong-turn",
                    "no-turn"),
            "hopper_wgrad_test",
            with(
                    HOPPER_FAULTS,
                    "no-proxy-fence",
                    "no-copy-wait",
                    "no-row-mask",
                    "tail-overwrite",
                    "stale-staging",
                    "no-tile-barrier",
                    "no-sharing",
                    "no-stage-barrier",
                    "no-scale",
                    "no-tail-b",
                    "wrong-turn",
                    "tied-order"),
            "hopper_blocks_test",
            with(
                    HOPPER_FAULTS,
                    "no-proxy-fence",
                    "tail-overwrite",
                    "stale-staging",
                    "no-tile-barrier",
                    "no-sharing",
                    "no-stage-barrier",
                    "no-tail-a",
                    "no-tail-b")));

    /** A program that no fault is planted for: one warp computes a token on its own, without copies or tiles. */
    private static final String WITHOUT_FAULTS = "router_test";

    private static List<String> with(List<String> first, List<String> second, String... others) {
        return Stream.of(first, second, List.of(others)).flatMap(List::stream).toList();
    }

    private static List<String> with(List<String> first, String... others) {
        return with(first, List.of(), others);
    }

    @BeforeAll
    static void compile() throws Exception {
        assumeTrue(Module.has("g++"), "needs g++ on the path");
        assumeTrue(System.getProperty("os.arch").equals("amd64"), "needs an x86-64 CPU");
        Module.Outcome build = Module.run(null, List.of("./emulate-kernels.sh", "--build-only", PROGRAMS.toString()));
        assertThat(build.status()).as(build.output()).isZero();
    }

    @TestFactory
    Stream<DynamicTest> kernelsAreRight() {
        return Stream.concat(FAULTS.keySet().stream(), Stream.of(WITHOUT_FAULTS))
                .map(program -> DynamicTest.dynamicTest(program, () -> {
                    Module.Outcome outcome =
                            Module.run(null, List.of(PROGRAMS.resolve(program).toString()));
                    assertThat(outcome.output()).containsPattern("(24|40|60|80) seeds, 0 mismatches");
                    assertThat(outcome.status()).isZero();
                }));
    }

    @TestFactory
    Stream<DynamicTest> plantedFaultsAreNoticed() {
        return FAULTS.entrySet().stream()
                .flatMap(entry -> entry.getValue().stream()
                        .map(fault -> DynamicTest.dynamicTest(entry.getKey() + " " + fault, () -> {
                            String program = PROGRAMS.resolve(entry.getKey()).toString();
                            Module.Outcome outcome = Module.run(null, List.of(program, "--fault", fault));
                            assertThat(outcome.status()).as(outcome.output()).isIn(1, 3);
                            assertThat(outcome.output()).containsPattern("mismatch|emulator:");
                        })));
    }

    /** Sizes of one topology. */
    private record Case(int[] ids, int topK, int numExperts, int maxRows, int blockSize, int ffnSize, boolean padded) {

        static Case random(Random random) {
            int experts = pick(random, 1, 3, 8, 64, 257);
            int topK = pick(random, 1, 2, Math.min(8, experts));
            int tokens = pick(random, 0, 1, 7, 130, 1200);
            boolean skewed = random.nextBoolean();
            boolean drops = random.nextBoolean();
            int[] ids = random.ints((long) tokens * topK, 0, experts)
                    .map(id -> drops && id % 5 == 0 ? Topology.UNASSIGNED : skewed ? id / 3 : id)
                    .toArray();
            return new Case(
                    ids,
                    topK,
                    experts,
                    pick(random, 1, 10, 128),
                    pick(random, 8, 16, 128),
                    pick(random, 1, 24, 200),
                    random.nextBoolean());
        }

        private static int pick(Random random, int... choices) {
            return choices[random.nextInt(choices.length)];
        }

        String input() {
            String numbers = IntStream.of(ids).mapToObj(Integer::toString).collect(Collectors.joining(" "));
            return "%d %d %d %d %d %d %d %s%n"
                    .formatted(ids.length, topK, numExperts, maxRows, blockSize, ffnSize, padded ? 1 : 0, numbers);
        }

        /** What the kernels must print. */
        List<String> expected() {
            Topology topology = Topology.of(ids, topK, numExperts);
            TilePlan tiles = TilePlan.of(topology, maxRows);
            MoeBlockPattern pattern = padded
                    ? MoeBlockPattern.padded(topology, blockSize, ffnSize)
                    : MoeBlockPattern.exact(topology, blockSize, ffnSize);
            BcsrArrays arrays = pattern.arrays();
            return List.of(
                    line("offsets", numExperts + 1, topology::offset),
                    line("slotOfRow", topology.rows(), topology::slotOfRow),
                    line("tokenOfRow", topology.rows(), topology::tokenOfRow),
                    line("rowOfSlot", topology.slots(), topology::rowOfSlot),
                    line("tileExpert", tiles.tiles(), tiles::expert),
                    line("tileRow", tiles.tiles(), tiles::firstRow),
                    line("tileRows", tiles.tiles(), tiles::rows),
                    line("rowOffset", pattern.blockRows() + 1, pattern::rowOffset),
                    line("columnOffset", pattern.blockColumns() + 1, pattern::columnOffset),
                    line("dataOffset", pattern.blocks() + 1, pattern::dataOffset),
                    line("firstBlock", arrays.offsets()),
                    line("rowOf", arrays.rowIndices()),
                    line("columnOf", arrays.columnIndices()),
                    line("firstTransposed", arrays.offsetsT()),
                    line("transposedBlock", arrays.blockOffsetsT()),
                    line("rowOfTransposed", arrays.columnIndicesT()),
                    line("columnOfTransposed", arrays.rowIndicesT()));
        }

        private static String line(String name, int[] values) {
            return line(name, values.length, i -> values[i]);
        }

        private static String line(String name, int length, IntToLongFunction value) {
            LongStream values = IntStream.range(0, length).mapToLong(value);
            return Stream.concat(Stream.of(name), values.mapToObj(Long::toString))
                    .collect(Collectors.joining(" "));
        }
    }

    @Test
    void topologyEqualsTheJavaBuilder(@TempDir Path folder) throws Exception {
        Random random = new Random(5);
        List<Case> cases = new ArrayList<>();
        for (int i = 0; i < 40; i++) {
            cases.add(Case.random(random));
        }
        Path input = folder.resolve("cases");
        Files.writeString(input, cases.stream().map(Case::input).collect(Collectors.joining()));
        Module.Outcome outcome =
                Module.run(input, List.of(PROGRAMS.resolve("topology_test").toString(), "--stdin"));
        assertThat(outcome.status()).as(outcome.output()).isZero();
        List<String> expected =
                cases.stream().flatMap(c -> c.expected().stream()).toList();
        assertThat(outcome.output().lines().toList()).isEqualTo(expected);
    }
}
