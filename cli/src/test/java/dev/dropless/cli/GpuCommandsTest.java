package dev.dropless.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import dev.dropless.blocksparse.spi.Backends;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** What gpu-check and bundle do on a machine without a GPU. */
class GpuCommandsTest {

    @TempDir
    Path folder;

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int run(String... arguments) {
        CommandLine command = Main.commandLine();
        command.setOut(new PrintWriter(out));
        command.setErr(new PrintWriter(err));
        return command.execute(arguments);
    }

    @Test
    void withoutAGpuTheCauseIsOneLine() {
        assumeFalse(Backends.byName("cuda").availability().isAvailable(), "this machine has a GPU");
        Path json = folder.resolve("gpu.json");
        assertThat(run("gpu-check", "--json", json.toString())).isEqualTo(1);
        assertThat(err.toString().lines())
                .singleElement()
                .asString()
                .startsWith("dropless: gpu-check: backend cuda is not available: ");
        assertThat(json).doesNotExist();
    }

    @Test
    void comparisonsWithTheReferencePassOnTheCpu() throws Exception {
        Path json = folder.resolve("cpu.json");
        assertThat(run("gpu-check", "--backend", "cpu", "--part", "kernels", "--json", json.toString()))
                .as(err.toString())
                .isZero();
        assertThat(Files.readString(json)).contains("\"failed\" : 0", "expert path BF16", "repeated F32", "dds TT F16");
    }

    @Test
    void partsAndArchivesAreCheckedByName() {
        Path json = folder.resolve("x.json");
        assertThat(run("gpu-check", "--backend", "cpu", "--part", "nothing", "--json", json.toString()))
                .isEqualTo(2);
        assertThat(err.toString()).contains("--part: expected one of [device, ceilings, kernels");
        assertThat(run("bundle", "--out", folder.resolve("a.zip").toString())).isEqualTo(2);
        assertThat(err.toString()).contains("expected a name that ends in .tar.xz or .tar.gz");
    }
}
