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

/** One operation of the back end, alone, or a pass made of them. */
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 4, time = 2)
@Fork(
        value = 2,
        jvmArgsAppend = {"-Xms6g", "-Xmx6g", "--add-modules=jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"
        })
public class OperationBenchmark extends MeasuredArm {

    /** Name of a {@link MoeShape}. */
    @Param("olmoe-1b-7b")
    public String shape = "";

    /** T. */
    @Param({"2048"})
    public int tokens;

    /** Word of a {@link RoutingPattern}. */
    @Param({"uniform"})
    public String routing = "";

    /** Word of an {@link Operation}. */
    @Param({
        "up",
        "down",
        "combine",
        "downDgrad",
        "downWgrad",
        "upDgrad",
        "upWgrad",
        "aggregate",
        "forward",
        "forward+backward"
    })
    public String pass = "";

    /** f32, bf16 or int8. */
    @Param("f32")
    public String dtype = "";

    /** For JMH. */
    public OperationBenchmark() {}

    @Override
    protected Task task() {
        return OperationTask.of(
                Operation.of(pass), MoeShape.named(shape), tokens, RoutingPattern.of(routing), dtype, threads);
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
