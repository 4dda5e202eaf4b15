package dev.dropless.benchmarks;

import dev.dropless.kernels.cpu.x86.CpuFeatures;
import dev.dropless.kernels.cpu.x86.ThroughputLoop;
import dev.dropless.kernels.cpu.x86.VectorOp;
import java.util.Arrays;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import org.jspecify.annotations.Nullable;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What one core can do at most: multiply-adds in registers, and reading memory that no cache holds. JMH's own threads
 * (option -t) run it on several cores.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 4, time = 1)
@Fork(
        value = 1,
        jvmArgsAppend = {"-Xms2g", "-Xmx2g", "--add-modules=jdk.incubator.vector"})
public class PeakBenchmark {

    private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
    private static final int STEPS = 100_000;

    /** Independent sums: more than latency times units of any current core. */
    private static final int CHAINS = 12;

    /** 320 MB: more than caches hold. */
    private static final int LONGS = 40 << 20;

    /** 8 MB: short against the time slices of a busy machine, so that most samples are whole. */
    private static final int PART = 1 << 20;

    private static final int DOT_STEPS = 20_000;

    /** Null where the processor has no such instruction. */
    private @Nullable ThroughputLoop dots;

    private @Nullable ThroughputLoop bytes;

    /** For JMH. */
    public PeakBenchmark() {}

    /** What {@link #read} reads. */
    @State(Scope.Thread)
    public static class Memory {
        private final long[] values = new long[LONGS];
        private int next;

        /** For JMH. */
        public Memory() {
            Arrays.setAll(values, i -> i);
        }
    }

    /**
     * Returns the operations of one {@link #fma}.
     *
     * @param lanes floats in a vector
     * @return a multiply-add counts as two
     */
    public static double flops(int lanes) {
        return 2.0 * lanes * CHAINS * STEPS;
    }

    /**
     * Returns the width of the preferred vector.
     *
     * @return floats
     */
    public static int lanes() {
        return SPECIES.length();
    }

    /**
     * Returns what one {@link #read} reads.
     *
     * @return bytes
     */
    public static double readBytes() {
        return (double) PART * Long.BYTES;
    }

    /**
     * Tells whether this processor, and this JVM, can run {@link #dotBf16}.
     *
     * @return true if there is AVX512_BF16, and native access
     */
    public static boolean hasDotBf16() {
        return has(CpuFeatures::avx512Bf16);
    }

    /**
     * Tells whether this processor, and this JVM, can run {@link #dotInt8}.
     *
     * @return true if there is AVX512_VNNI, and native access
     */
    public static boolean hasDotInt8() {
        return has(CpuFeatures::avx512Vnni);
    }

    private static boolean has(Predicate<CpuFeatures> feature) {
        try {
            return PeakBenchmark.class.getModule().isNativeAccessEnabled() && feature.test(CpuFeatures.detect());
        } catch (UnsupportedOperationException e) {
            return false;
        }
    }

    /**
     * Returns the operations of one {@link #dotBf16}.
     *
     * @return a multiply-add counts as two
     */
    public static double dotBf16Flops() {
        return operations(VectorOp.DOT_BF16);
    }

    /**
     * Returns the operations of one {@link #dotInt8}.
     *
     * @return a multiply-add counts as two
     */
    public static double dotInt8Operations() {
        return operations(VectorOp.DOT_INT8);
    }

    private static double operations(VectorOp op) {
        try (ThroughputLoop loop = new ThroughputLoop(op)) {
            return loop.flopsPerStep() * DOT_STEPS;
        }
    }

    /** Emits dot products. */
    @Setup
    public void emit() {
        dots = hasDotBf16() ? new ThroughputLoop(VectorOp.DOT_BF16) : null;
        bytes = hasDotInt8() ? new ThroughputLoop(VectorOp.DOT_INT8) : null;
    }

    /** Frees them. */
    @TearDown
    public void free() {
        close(dots);
        close(bytes);
    }

    private static void close(@Nullable ThroughputLoop loop) {
        if (loop != null) {
            loop.close();
        }
    }

    /** Dot products of bfloat16 pairs in registers: vdpbf16ps. */
    @Benchmark
    public void dotBf16() {
        Objects.requireNonNull(dots).run(DOT_STEPS);
    }

    /** Dot products of four bytes in registers: vpdpbusd. */
    @Benchmark
    public void dotInt8() {
        Objects.requireNonNull(bytes).run(DOT_STEPS);
    }

    /**
     * Adds up the next part of a large array.
     *
     * @param memory the array
     * @return the sum
     */
    @Benchmark
    public long read(Memory memory) {
        long[] values = memory.values;
        long a = 0;
        long b = 0;
        long c = 0;
        long d = 0;
        int end = memory.next + PART;
        for (int i = memory.next; i < end; i += 4) {
            a += values[i];
            b += values[i + 1];
            c += values[i + 2];
            d += values[i + 3];
        }
        memory.next = end == values.length ? 0 : end;
        return a + b + c + d;
    }

    /**
     * Multiplies and adds in twelve registers.
     *
     * @return the sum
     */
    @Benchmark
    public float fma() {
        FloatVector factor = FloatVector.broadcast(SPECIES, 0.999f);
        FloatVector addend = FloatVector.broadcast(SPECIES, 0.001f);
        FloatVector a = factor;
        FloatVector b = factor;
        FloatVector c = factor;
        FloatVector d = factor;
        FloatVector e = factor;
        FloatVector f = factor;
        FloatVector g = factor;
        FloatVector h = factor;
        FloatVector i = factor;
        FloatVector j = factor;
        FloatVector k = factor;
        FloatVector l = factor;
        for (int step = 0; step < STEPS; step++) {
            a = a.fma(factor, addend);
            b = b.fma(factor, addend);
            c = c.fma(factor, addend);
            d = d.fma(factor, addend);
            e = e.fma(factor, addend);
            f = f.fma(factor, addend);
            g = g.fma(factor, addend);
            h = h.fma(factor, addend);
            i = i.fma(factor, addend);
            j = j.fma(factor, addend);
            k = k.fma(factor, addend);
            l = l.fma(factor, addend);
        }
        FloatVector left = a.add(b).add(c).add(d.add(e).add(f));
        return left.add(g.add(h).add(i)).add(j.add(k).add(l)).lane(0);
    }
}
