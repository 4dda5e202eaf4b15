package dev.dropless.benchmarks;

import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Warmup;

/** One product of all experts: block-sparse, or fused. */
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 4, time = 2)
@Fork(
        value = 2,
        jvmArgsAppend = {"-Xms6g", "-Xmx6g", "--add-modules=jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"
        })
public class ProductBenchmark extends MeasuredArm {

    /** Name of a {@link MoeShape}. */
    @Param({"megablocks-xs", "megablocks-small", "megablocks-medium", "megablocks-coarse"})
    public String shape = "";

    /** T. */
    @Param({"2048"})
    public int tokens;

    /** Word of a {@link RoutingPattern}. */
    @Param({"uniform"})
    public String routing = "";

    /** sdd, dsd or dds. */
    @Param({"sdd", "dsd", "dds"})
    public String pass = "";

    /** For JMH. */
    public ProductBenchmark() {}

    @Override
    protected Task task() {
        return ProductTask.of(
                ProductTask.Product.of(pass), MoeShape.named(shape), tokens, RoutingPattern.of(routing), threads);
    }

    /**
     * Computes the task once.
     *
     * @return for JMH to consume
     */
    @Benchmark
    public Object run() {
        return runArm();
    }
}
