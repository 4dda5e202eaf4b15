package dev.dropless.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is refused before another JVM is started; the suites have tests of their own. */
class BenchCommandTest {

    @TempDir
    Path folder;

    @Test
    void theGpuSuiteSaysWhyItIsNotThere() {
        assertRefused("NVIDIA GPU", "bench", "--suite", "gpu");
    }

    @Test
    void aSuiteMustBeNamed() {
        assertRefused("--suite", "bench");
        assertRefused("--suite", "bench", "--suite", "everything");
    }

    @Test
    void numbersMustBeNumbers() {
        assertRefused("--threads", "bench", "--suite", "operations", "--threads", "1,many");
        assertRefused("--limit", "bench", "--suite", "peers", "--quick", "--limit", "soon");
    }

    @Test
    void filesMustHaveAFolder() {
        Path nowhere = folder.resolve("none/rows.json");
        assertRefused(
                "--json: expected a file in an existing folder, found " + nowhere,
                "bench",
                "--suite",
                "layer",
                "--json",
                nowhere);
        assertRefused("--html: expected a file", "bench", "--suite", "layer", "--html", folder);
    }

    @Test
    void sourcesAreNeededToBuildFrom() {
        String home = System.clearProperty("dropless.home");
        try {
            assertRefused("dropless.home", "bench", "--suite", "layer");
        } finally {
            if (home != null) {
                System.setProperty("dropless.home", home);
            }
        }
    }

    private static void assertRefused(String message, Object... arguments) {
        CommandRunner.Result result = CommandRunner.run(arguments);
        assertThat(result.status()).isEqualTo(2);
        assertThat(result.errorLines()).hasSize(1);
        assertThat(result.err()).contains(message);
        assertThat(result.out()).isEmpty();
    }
}
