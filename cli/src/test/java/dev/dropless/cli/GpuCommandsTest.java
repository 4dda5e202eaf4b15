package dev.dropless.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.dropless.blocksparse.spi.Backends;
import dev.dropless.cli.gpu.GpuBundle;
import dev.dropless.cli.gpu.GpuSchema;
import java.io.File;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
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

    /** Every part but the contract tests, in processes of their own, on the CPU. */
    @Test
    void aQuickRunOfAllPartsWritesTheDocumentedForm() throws Exception {
        Path json = folder.resolve("all.json");
        assertThat(runAlone("gpu-check", "--quick", "--backend", "cpu", "--json", json.toString()))
                .isZero();
        assertThat(GpuSchema.check(Files.readString(json), "dropless"))
                .extracting(part -> part.get("part") + " " + part.get("status"))
                .containsExactly(
                        "device passed",
                        "ceilings passed",
                        "kernels passed",
                        "engines passed",
                        "contract left out: the contract tests are only in a bundle",
                        "cases-f32 passed",
                        "cases-bf16 passed",
                        "shapes passed");
    }

    /** In a JVM whose command line has the command's name in it, which the parts' processes begin like. */
    private int runAlone(String... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "--add-modules",
                "jdk.incubator.vector",
                "-Ddropless.testData=" + Path.of("..", "test-data", "data").toAbsolutePath(),
                "-cp",
                classPath(),
                "dev.dropless.cli.Main"));
        command.addAll(List.of(arguments));
        Process process = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(folder.resolve("log").toFile())
                .start();
        assertThat(process.waitFor(5, TimeUnit.MINUTES)).isTrue();
        if (process.exitValue() != 0) {
            System.err.println(Files.readString(folder.resolve("log")));
        }
        return process.exitValue();
    }

    private static String classPath() {
        return String.join(
                File.pathSeparator,
                System.getProperty("java.class.path", ""),
                System.getProperty("jdk.module.path", ""),
                Path.of("target", "classes").toAbsolutePath().toString());
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
        assertThat(err.toString()).contains("--part: expected one of [device, ceilings, kernels");
        assertThat(run("bundle", "--out", folder.resolve("a.zip").toString())).isEqualTo(2);
        assertThat(err.toString()).contains("expected a name that ends in .tar.xz or .tar.gz");
    }
}
