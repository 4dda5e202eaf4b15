package dev.dropless.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SortedMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Compiles kernels again where nvcc is present and compares with what is carried: by default two families for one target, which takes
 * seconds, all of them with {@code -Ddropless.cuda.recompile=all}.
 */
class RecompilationTest {

    private static final boolean ALL =
            System.getProperty("dropless.cuda.recompile", "").equals("all");

    @Test
    void compilingAgainGivesTheSameKernels(@TempDir Path folder) throws Exception {
        assumeTrue(Module.has("nvcc") && Module.has("g++"), "needs nvcc and g++ on the path");
        KernelManifest carried = KernelManifest.load();
        assumeTrue(
                version().contains(carried.compiler()), "needs the nvcc of the carried images: " + carried.compiler());
        String families = ALL ? "" : "FAMILIES='weight_gradients combine' TARGETS=sm_80 ";
        Module.Outcome build =
                Module.run(null, List.of("bash", "-c", families + "./build-kernels.sh '" + folder + "'"));
        assertThat(build.status()).as(build.output()).isZero();
        KernelManifest made;
        try (InputStream in = Files.newInputStream(folder.resolve("manifest.properties"))) {
            made = KernelManifest.read(in);
        }
        assertThat(made.sources()).isEqualTo(carried.sources());
        for (String target : ALL ? List.of("sm_80", "sm_90a") : List.of("sm_80")) {
            SortedMap<String, KernelManifest.StaticProperties> properties = made.staticProperties(target);
            assertThat(properties).isNotEmpty();
            assertThat(carried.staticProperties(target)).containsAllEntriesOf(properties);
        }
        assertThat(made.images()).isNotEmpty();
        assertThat(carried.images()).containsAllEntriesOf(made.images());
        made.kernels().forEach(kernel -> assertThat(carried.launch(kernel)).isEqualTo(made.launch(kernel)));
        assertThat(made.kernels()).isEqualTo(carried.kernels());
    }

    private static String version() throws Exception {
        return Module.run(null, List.of("nvcc", "--version")).output();
    }
}
