package dev.dropless.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.dropless.kernels.cuda.KernelManifest.StaticProperties;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** Gates that need no GPU: carried images belong to the sources, and the compiled kernels are what they were meant to be. */
class KernelImagesTest {

    private static final List<String> TARGETS = List.of("sm_80", "sm_90a");
    private static final String REBUILD = "run kernels/cuda/build-kernels.sh and commit what it writes";
    private static final Pattern TILE_KERNEL = Pattern.compile(
            "dropless_(?:up|down|up_dgrad|down_dgrad|up_wgrad|down_wgrad|matmul_[nt]{2})_(f32|bf16|f16)");
    private static final Pattern ABI_ROW = Pattern.compile("(?m)^\\| `(dropless_[^`]+)` \\| (\\d+) \\|");

    /** 65536 registers of a multiprocessor over two blocks of 256 threads. */
    private static final int TILE_REGISTERS = 128;

    /** The same over three blocks and more, of kernels that only move data: enough of them for the memory to be busy. */
    private static final int MOVING_REGISTERS = 80;

    private final KernelManifest manifest = KernelManifest.load();

    @Test
    void imagesWereMadeFromTheseSources() throws IOException {
        assertThat(manifest.sources()).as(REBUILD).isEqualTo(Module.digests(Module.SOURCES, ".cu", ".cuh"));
    }

    @Test
    void carriedImagesAreThoseOfTheManifest() throws IOException {
        assertThat(manifest.images()).as(REBUILD).isEqualTo(Module.digests(Module.RESOURCES, ".cubin", ".ptx"));
        manifest.images()
                .forEach((file, digest) ->
                        assertThat(Module.sha256(manifest.image(file))).as(file).isEqualTo(digest));
    }

    @Test
    void everyKernelIsInEveryImageOfItsFamily() {
        Map<String, List<String>> families = manifest.kernels().stream()
                .collect(Collectors.groupingBy(kernel -> manifest.launch(kernel).family()));
        families.forEach((family, kernels) -> {
            for (String target : targets(family)) {
                assertThat(cubin(family, target).operations().keySet()).containsExactlyInAnyOrderElementsOf(kernels);
            }
            if (!isHopper(family)) {
                String ptx = new String(manifest.image(family + ".ptx"), StandardCharsets.US_ASCII);
                assertThat(kernels).allMatch(kernel -> ptx.contains(".visible .entry " + kernel + "("));
                assertThat(ptx).contains(".version 8.0").contains(".target sm_80");
            }
        });
        int images = families.keySet().stream()
                .mapToInt(family -> targets(family).size() + (isHopper(family) ? 0 : 1))
                .sum();
        assertThat(manifest.images()).hasSize(images);
    }

    /** Families of the Hopper engine use instructions that only sm_90a has. */
    private static boolean isHopper(String family) {
        return family.startsWith("hopper_");
    }

    private static List<String> targets(String family) {
        return isHopper(family) ? List.of("sm_90a") : TARGETS;
    }

    private Stream<String> kernelsOf(String target) {
        return manifest.kernels().stream()
                .filter(kernel -> targets(manifest.launch(kernel).family()).contains(target));
    }

    @TestFactory
    Stream<DynamicTest> noKernelUsesLocalMemoryOrTooManyRegisters() {
        return TARGETS.stream().flatMap(target -> {
            Map<String, StaticProperties> all = manifest.staticProperties(target);
            assertThat(all.keySet()).isEqualTo(kernelsOf(target).collect(Collectors.toSet()));
            return all.entrySet().stream()
                    .map(entry -> DynamicTest.dynamicTest(
                            target + " " + entry.getKey(),
                            () -> checkMemory(target, entry.getKey(), entry.getValue())));
        });
    }

    private void checkMemory(String target, String kernel, StaticProperties properties) {
        Cubin cubin = cubin(manifest.launch(kernel).family(), target);
        assertThat(properties.spillBytes()).as("spills").isZero();
        assertThat(properties.stackBytes()).as("local memory").isZero();
        assertThat(cubin.count(kernel, Cubin.LDL)).as("LDL").isZero();
        assertThat(cubin.count(kernel, Cubin.STL)).as("STL").isZero();
        if (!kernel.equals("dropless_tensor_maps")) { // whose publishing of a map has the same operation
            assertThat(cubin.operations().get(kernel)).as("atomics").doesNotContainAnyElementsOf(Cubin.ATOMICS);
        }
        assertThat(properties.registers()).as("registers").isBetween(1, mostRegisters(kernel));
    }

    private static int mostRegisters(String kernel) {
        if (HopperImagesTest.PRODUCT.matcher(kernel).matches()) {
            return HopperImagesTest.REGISTERS;
        }
        return TILE_KERNEL.matcher(kernel).matches() ? TILE_REGISTERS : MOVING_REGISTERS;
    }

    /** One stage of a tile is written out once: 2 steps of 16 x (4 x 4 fragments), of 4 + 2 matrix loads. */
    @TestFactory
    Stream<DynamicTest> tileKernelsComputeOnTheUnitsTheyAreMeantFor() {
        return TARGETS.stream()
                .flatMap(target -> manifest.kernels().stream()
                        .map(TILE_KERNEL::matcher)
                        .filter(Matcher::matches)
                        .map(match -> DynamicTest.dynamicTest(target + " " + match.group(), () -> {
                            Cubin cubin = cubin(manifest.launch(match.group()).family(), target);
                            boolean floats = match.group(1).equals("f32");
                            assertThat(cubin.count(match.group(), Cubin.HMMA))
                                    .as("HMMA")
                                    .isEqualTo(floats ? 0 : 32);
                            assertThat(cubin.count(match.group(), Cubin.LDSM))
                                    .as("LDSM")
                                    .isEqualTo(floats ? 0 : 12);
                            assertThat(cubin.count(match.group(), Cubin.LDGSTS))
                                    .as("LDGSTS")
                                    .isBetween(8, 32);
                            if (floats) {
                                assertThat(cubin.count(match.group(), Cubin.FFMA))
                                        .as("FFMA")
                                        .isGreaterThanOrEqualTo(128);
                            }
                            assertThat(cubin.instructions(match.group()))
                                    .as("instructions")
                                    .isLessThan(5000);
                        })));
    }

    /** Two blocks with what the driver reserves for each fit into the shared memory of an A100 and an H100. */
    @Test
    void twoBlocksFitIntoAMultiprocessor() {
        assertThat(kernelsOf("sm_80"))
                .allSatisfy(kernel -> assertThat(2 * (manifest.launch(kernel).sharedBytes() + 1024))
                        .isLessThan(164 << 10));
    }

    @Test
    void everyKernelIsDocumentedWithItsArguments() throws IOException {
        Map<String, Integer> documented = ABI_ROW.matcher(Files.readString(Module.SOURCES.resolve("abi.md")))
                .results()
                .flatMap(row -> expand(row.group(1)).map(name -> Map.entry(name, Integer.parseInt(row.group(2)))))
                .collect(Collectors.toMap(Map.Entry::getKey, Map.Entry::getValue));
        assertThat(documented.keySet()).isEqualTo(manifest.kernels());
        assertThat(documented)
                .allSatisfy((kernel, words) -> assertThat(words)
                        .as(kernel)
                        .isEqualTo(manifest.launch(kernel).argumentWords()));
    }

    /** "a_<x\|y>_<u\|v>" as a_x_u, a_x_v, a_y_u, a_y_v: in a table a bar is escaped. */
    private static Stream<String> expand(String name) {
        int open = name.indexOf('<');
        if (open < 0) {
            return Stream.of(name);
        }
        int close = name.indexOf('>', open);
        return Stream.of(name.substring(open + 1, close).split("\\\\\\|"))
                .flatMap(choice -> expand(name.substring(0, open) + choice + name.substring(close + 1)));
    }

    @Test
    void unknownNamesAreRefused() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> manifest.launch("dropless_nothing"))
                .withMessageContaining("dropless_nothing");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> manifest.image("experts.sm_70.cubin"))
                .withMessageContaining("experts.sm_80.cubin");
    }

    private Cubin cubin(String family, String target) {
        return Cubin.parse(manifest.image("%s.%s.cubin".formatted(family, target)));
    }
}
