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

/** Assignments to topology: offsets, permutation and its inverse. */
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 4, time = 2)
@Fork(
        value = 2,
        jvmArgsAppend = {"-Xms1g", "-Xmx1g", "--add-modules=jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"
        })
public class TopologyBenchmark extends MeasuredArm {

    /** T. */
    @Param("16384")
    public int tokens;

    /** E. */
    @Param("64")
    public int numExperts;

    /** k. */
    @Param("8")
    public int topK;

    /** Word of a {@link RoutingPattern}. */
    @Param({"uniform", "zipf", "one-hot", "holes"})
    public String routing = "";

    /** For JMH. */
    public TopologyBenchmark() {}

    @Override
    protected Task task() {
        return new TopologyTask(tokens, numExperts, topK, RoutingPattern.of(routing), threads);
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
