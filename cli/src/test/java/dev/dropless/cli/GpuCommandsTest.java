package dev.dropless.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.dropless.blocksparse.spi.Backends;
import dev.dropless.cli.gpu.GpuBundle;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
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

    /** Where nothing can be recorded and nobody knows what is free. */
    @Test
    void aShapeIsMeasuredOnTheCpu() throws Exception {
        Path json = folder.resolve("shape.json");
        assertThat(run(
                        "gpu-check",
                        "--quick",
                        "--backend",
                        "cpu",
                        "--part",
                        "olmoe-1b-7b",
                        "--ceilings",
                        "700,600,4000",
                        "--json",
                        json.toString()))
                .as(err.toString())
                .isZero();
        assertThat(Files.readString(json))
                .contains(
                        "olmoe-1b-7b layer training\"",
                        "olmoe-1b-7b experts backward\"",
                        "this back end records no graphs",
                        "of_sustained",
                        "floor_milliseconds");
    }

    @Test
    void picturesNeedAModuleThatABundleHasNot() {
        Pictures.need();
        assertThatThrownBy(() -> Pictures.need(ModuleLayer.empty()))
                .isInstanceOf(BadInput.class)
                .hasMessageContaining("java.desktop");
    }

    /** As on the machine it is for: unpacked, with the runtime it carries, which has no java.desktop. */
    @Test
    void aBundleRunsWithItsOwnRuntime() throws Exception {
        Path root = Path.of("..").toAbsolutePath().normalize();
        assumeTrue(
                Files.isRegularFile(root.resolve("cli/target/dropless/built"))
                        && Files.isDirectory(root.resolve("kernels/cuda/target/bundle-tests")),
                "./dropless bundle has not run in this checkout");
        Path bundle = Files.createDirectory(folder.resolve("dropless-bundle"));
        new GpuBundle(root).fill(bundle);
        assertThat(bundle.resolve("lib").toFile().list()).noneMatch(f -> f.startsWith("xchart"));
        Path log = folder.resolve("bundle.log");
        Process process = new ProcessBuilder(
                        bundle.resolve("run.sh").toString(),
                        "gpu-check",
                        "--json",
                        folder.resolve("g.json").toString())
                .redirectErrorStream(true)
                .redirectOutput(log.toFile())
                .start();
        assertThat(process.waitFor(2, TimeUnit.MINUTES)).isTrue();
        assumeFalse(Backends.byName("cuda").availability().isAvailable(), "this machine has a GPU");
        assertThat(process.exitValue()).isEqualTo(1);
        assertThat(Files.readAllLines(log))
                .filteredOn(line -> !line.startsWith("WARNING: Using incubator"))
                .singleElement()
                .asString()
                .startsWith("dropless: gpu-check: backend cuda is not available: ");
    }

    @Test
    void partsAndArchivesAreCheckedByName() {
        Path json = folder.resolve("x.json");
        assertThat(run("gpu-check", "--backend", "cpu", "--part", "nothing", "--json", json.toString()))
                .isEqualTo(2);
        assertThat(err.toString()).contains("--part: expected one of [device, engines, ceilings");
        assertThat(run(
                        "gpu-check",
                        "--backend",
                        "cpu",
                        "--part",
                        "device",
                        "--ceilings",
                        "1,x,2",
                        "--json",
                        json.toString()))
                .isEqualTo(2);
        assertThat(err.toString()).contains("--ceilings: expected TFLOP/s in bursts");
        assertThat(run("bundle", "--out", folder.resolve("a.zip").toString())).isEqualTo(2);
        assertThat(err.toString()).contains("expected a name that ends in .tar.xz or .tar.gz");
    }
}
