package dev.dropless.cli;

import dev.dropless.blocksparse.spi.Availability;
import dev.dropless.blocksparse.spi.Backends;
import dev.dropless.blocksparse.spi.KernelBackend;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.cli.machine.Machine;
import dev.dropless.cli.machine.MemoryBandwidth;
import dev.dropless.cli.machine.PeakArithmetic;
import java.io.PrintWriter;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Says what this program runs on, and what it would compute with. */
@Command(
        name = "info",
        description =
                "Shows JDK, processor, back ends with their availability, and two measured limits of the machine.",
        mixinStandardHelpOptions = true)
final class InfoCommand implements Callable<Integer> {

    /** Beyond the last-level cache of most machines. */
    private static final int MEASURED_MEGABYTES = 512;

    @Spec
    private CommandSpec spec;

    @Option(names = "--no-measure", description = "leave out what takes a few seconds to measure")
    private boolean skipMeasuring;

    @Mixin
    private ComputeOptions compute;

    @Override
    public Integer call() throws InterruptedException {
        Machine machine = Machine.current();
        line("JDK", machine.jdk());
        line("system", machine.os());
        line("processor", "%s, %d usable".formatted(machine.cpu(), machine.processors()));
        line("features", machine.featureList());
        line("heap", "at most %d MiB".formatted(Runtime.getRuntime().maxMemory() >> 20));
        for (KernelBackend backend : Backends.all()) {
            Availability availability = backend.availability();
            line(
                    "back end",
                    "%s (priority %d): %s"
                            .formatted(
                                    backend.name(),
                                    backend.priority(),
                                    availability.isAvailable()
                                            ? "available, " + availability.description()
                                            : "not available: " + availability.cause()));
        }
        try (Kernels kernels = compute.open()) {
            line("chosen", "%s: %s".formatted(kernels.name(), kernels.description()));
            line("routing", routing(kernels));
        }
        if (!skipMeasuring) {
            measure(compute.threads == null ? machine.processors() : compute.threads);
        }
        return Main.DONE;
    }

    private void measure(int threads) throws InterruptedException {
        for (int count : threads == 1 ? new int[] {1} : new int[] {1, threads}) {
            Optional<PeakArithmetic.Peak> peak = PeakArithmetic.measure(count);
            line(
                    "fp32 peak",
                    peak.map(p -> String.format(
                                    Locale.ROOT,
                                    "%.0f GFLOP/s on %d thread%s (Vector API, %d lanes)",
                                    p.gflops(),
                                    count,
                                    count == 1 ? "" : "s",
                                    p.lanes()))
                            .orElse("not measured: the JVM runs without --add-modules jdk.incubator.vector"));
            line(
                    "memory",
                    String.format(
                            Locale.ROOT,
                            "%.1f GB/s read on %d thread%s (%d MiB)",
                            MemoryBandwidth.gigabytesPerSecond(count, MEASURED_MEGABYTES),
                            count,
                            count == 1 ? "" : "s",
                            MEASURED_MEGABYTES));
        }
    }

    private void line(String what, String value) {
        PrintWriter out = spec.commandLine().getOut();
        out.println(String.format(Locale.ROOT, "%-10s %s", what, value));
        out.flush();
    }

    /** Where layers of these kernels route. */
    private static String routing(Kernels kernels) {
        return kernels.routing() == null
                ? "on the host"
                : "on the device for top-k routers without capacity and noise, else on the host";
    }
}
