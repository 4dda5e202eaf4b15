package dev.dropless.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.InputStream;
import java.nio.file.Path;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** Gates of the Hopper engine that need no GPU, beyond those of {@link KernelImagesTest}: what its compiled kernels are made of. */
class HopperImagesTest {

    /** A Hopper product and its operation. */
    static final Pattern PRODUCT = Pattern.compile("dropless_hopper_([a-z0-9_]+)_(?:bf16|f16)");

    /** 65536 registers of a multiprocessor over 384 threads, in steps of 8; warpgroups then trade them. */
    static final int REGISTERS = 168;

    /** Shared memory that a block may have on a device of compute capability 9.0. */
    private static final int SHARED_BYTES = 227 << 10;

    /** All images of the engine; the jar holds them compressed, to a fifth or so. */
    private static final int IMAGE_BYTES = 4 << 20;

    private final KernelManifest manifest = KernelManifest.load();

    /**
     * A stage of 64 of the summed dimension is four products of 16, written out once for each half of a tile's rows that a warpgroup has of its
     * own; all operands come through the copy engine or by cp.async, results leave by the copy engine or as they are.
     */
    @TestFactory
    Stream<DynamicTest> kernelsUseWhatTheyAreMeantTo() {
        return manifest.kernels().stream()
                .map(PRODUCT::matcher)
                .filter(Matcher::matches)
                .map(match -> DynamicTest.dynamicTest(match.group(), () -> check(match.group(), match.group(1))));
    }

    private void check(String kernel, String operation) {
        Cubin cubin = Cubin.parse(manifest.image(manifest.launch(kernel).family() + ".sm_90a.cubin"));
        Use use = Use.of(operation);
        assertThat(cubin.count(kernel, Cubin.HGMMA)).as("HGMMA").isEqualTo(use.products());
        assertThat(cubin.count(kernel, Cubin.HMMA)).as("HMMA").isZero();
        assertThat(cubin.count(kernel, Cubin.UTMALDG) + cubin.count(kernel, Cubin.UTMALDG_MULTICAST))
                .as("UTMALDG")
                .isPositive();
        assertThat(cubin.count(kernel, Cubin.UTMASTG)).as("UTMASTG").isEqualTo(use.boxesStored());
        assertThat(cubin.count(kernel, Cubin.STSM)).as("STSM").isEqualTo(4 * use.boxesStored());
        assertThat(cubin.count(kernel, Cubin.LDGSTS) > 0).as("LDGSTS").isEqualTo(use.gathers());
        assertThat(cubin.count(kernel, Cubin.CCTL)).as("CCTL").isLessThan(8);
        assertThat(cubin.instructions(kernel)).as("instructions").isLessThan(16_000);
        assertThat(manifest.launch(kernel).sharedBytes()).as("shared memory").isBetween(1, SHARED_BYTES);
    }

    /**
     * What a Hopper kernel is made of.
     *
     * @param products warpgroup products
     * @param boxesStored boxes of 64 x 64 results, as often as their store is written out
     * @param gathers whether one of its operands comes by cp.async
     */
    private record Use(int products, int boxesStored, boolean gathers) {

        static Use of(String operation) {
            return switch (operation) {
                // 128 x 192: three boxes of each half.
                case "down_short", "up_dgrad_short" -> new Use(12, 6, false);
                case "matmul_nt", "down", "up_dgrad" -> new Use(4, 4, false);
                case "up_gated" -> new Use(4, 6, true);
                case "up_plain" -> new Use(4, 8, true);
                case "decode_up_16", "decode_down_16", "decode_up_64", "decode_down_64" -> new Use(8, 0, true);
                // Tiles of one warpgroup alone: both halves, and for tiles of at most 64 rows the first one.
                case "down_dgrad", "up_wgrad_short", "down_wgrad_short" -> new Use(12, 0, true);
                case "up_wgrad", "down_wgrad" -> new Use(4, 0, true);
                case "blocks_nn", "blocks_nt", "blocks_tn", "blocks_tt" -> new Use(4, 4, false);
                default -> throw new IllegalArgumentException("operation: no expectations for " + operation);
            };
        }
    }

    /** Those that a host may start while earlier kernels end, and no others: they wait before they touch global memory, and let the next one start. */
    @Test
    void kernelsThatMayStartEarlyWaitThemselves() {
        int waiting = 0;
        for (String kernel : manifest.kernels()) {
            KernelManifest.Launch launch = manifest.launch(kernel);
            Cubin cubin = Cubin.parse(manifest.image(launch.family() + ".sm_90a.cubin"));
            int waits = launch.waitsForEarlierLaunches() ? 1 : 0;
            assertThat(cubin.count(kernel, Cubin.ACQBULK)).as(kernel).isEqualTo(waits);
            assertThat(cubin.count(kernel, Cubin.PREEXIT)).as(kernel).isEqualTo(waits);
            if (waits == 1) {
                assertThat(cubin.isBefore(kernel, Cubin.ACQBULK, Cubin.GLOBAL))
                        .as(kernel)
                        .isTrue();
                waiting++;
            }
        }
        assertThat(waiting).isGreaterThanOrEqualTo(30);
    }

    @Test
    void imagesAreSmall() {
        int bytes = manifest.images().keySet().stream()
                .filter(file -> file.startsWith("hopper_"))
                .mapToInt(file -> manifest.image(file).length)
                .sum();
        assertThat(bytes).isBetween(1, IMAGE_BYTES);
    }

    /** Lines name an operation and the rows per expert from which they hold; every operation has one from zero on. */
    @Test
    void tuningTableIsWhole() throws Exception {
        Properties table = new Properties();
        try (InputStream in = KernelManifest.class.getResourceAsStream("hopper_tuning.properties")) {
            table.load(in);
        }
        assertThat(table.remove("measured")).isIn("no", "yes");
        assertThat(table.keySet()).allSatisfy(key -> assertThat((String) key).matches("[a-z_]+\\.\\d+"));
        assertThat(table.values())
                .allSatisfy(
                        line -> assertThat((String) line)
                                .matches(
                                        "variant:(tile|short|decode16|decode64) cluster:[12] group:[1-9]\\d*( short:[1-9]\\d*)?( waves:[1-9]\\d*)?"));
        Set<String> operations = table.keySet().stream()
                .map(key -> ((String) key).replaceAll("\\.\\d+$", ""))
                .collect(Collectors.toSet());
        assertThat(operations)
                .contains("up", "down", "matmul_nt")
                .allSatisfy(operation -> assertThat(table).containsKey(operation + ".0"));
    }

    @Test
    void productsAreWhatTheGeneratorWrites(@TempDir Path folder) throws Exception {
        assumeTrue(Module.has("bash"), "needs bash on the path");
        Path made = folder.resolve("warpgroup_products.cuh");
        Module.Outcome outcome = Module.run(null, List.of("./generate-products.sh", made.toString()));
        assertThat(outcome.status()).as(outcome.output()).isZero();
        assertThat(made).hasSameTextualContentAs(Module.SOURCES.resolve("warpgroup_products.cuh"));
    }
}
