package dev.dropless.cli;

import dev.dropless.cli.gpu.GpuBundle;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Packs this program with a Java runtime and the contract tests, for a Linux machine that has neither Java nor a network. */
@Command(
        name = "bundle",
        description = "Packs everything that gpu-check needs into one archive for a bare Linux x86-64 machine.",
        mixinStandardHelpOptions = true)
final class BundleCommand implements Callable<Integer> {

    @Spec
    private CommandSpec spec;

    @Option(names = "--out", paramLabel = "FILE", required = true, description = "the archive, .tar.xz or .tar.gz")
    private Path out = Path.of("");

    @Override
    public Integer call() throws IOException, InterruptedException {
        String compression = GpuBundle.compression(out.getFileName().toString());
        if (compression.isEmpty()) {
            throw new BadInput("--out: expected a name that ends in .tar.xz or .tar.gz, found " + out);
        }
        Path root = Path.of(System.getProperty("dropless.home", ""));
        if (root.toString().isEmpty() || !Files.isRegularFile(root.resolve("pom.xml"))) {
            throw new BadInput("bundle: expected to run from a checkout through ./dropless, found no dropless.home");
        }
        long bytes = new GpuBundle(root).write(out.toAbsolutePath(), compression);
        PrintWriter printer = spec.commandLine().getOut();
        printer.println("%s: %.1f MB. Unpack it, then: dropless-bundle/run.sh gpu-check --json gpu.json"
                .formatted(out, bytes / 1e6));
        printer.flush();
        return Main.DONE;
    }
}
