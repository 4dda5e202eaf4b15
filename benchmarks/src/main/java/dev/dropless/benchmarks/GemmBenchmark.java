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

/** A dense product, the same operands every time. */
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 4, time = 2)
@Fork(
        value = 2,
        jvmArgsAppend = {"-Xms6g", "-Xmx6g", "--add-modules=jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"
        })
public class GemmBenchmark extends MeasuredArm {

    /** Sizes M, K, N. */
    @Param({"gemm-512x512x512", "gemm-1024x1024x1024", "gemm-128x1024x4096", "gemm-64x2048x1024"})
    public String shape = "";

    /** For JMH. */
    public GemmBenchmark() {}

    @Override
    protected Task task() {
        return GemmTask.named(shape, threads);
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
