package dev.dropless.benchmarks;

import dev.dropless.kernels.cpu.x86.CpuFeatures;
import dev.dropless.kernels.cpu.x86.ThroughputLoop;
import dev.dropless.kernels.cpu.x86.VectorOp;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
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

    private final long[] memory = new long[LONGS];
    private int next;

    private static final int DOT_STEPS = 20_000;

    /** Null where the processor has no such instruction. */
    private @Nullable ThroughputLoop dots;

    /** For JMH. */
    public PeakBenchmark() {
        for (int i = 0; i < memory.length; i++) {
            memory[i] = i;
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
        try {
            return PeakBenchmark.class.getModule().isNativeAccessEnabled()
                    && CpuFeatures.detect().avx512Bf16();
        } catch (UnsupportedOperationException e) {
            return false;
        }
    }

    /**
     * Returns the operations of one {@link #dotBf16}.
     *
     * @return a multiply-add counts as two
     */
    public static double dotFlops() {
        try (ThroughputLoop loop = new ThroughputLoop(VectorOp.DOT_BF16)) {
            return loop.flopsPerStep() * DOT_STEPS;
        }
    }

    /** Emits dot products of bfloat16 pairs. */
    @Setup
    public void emit() {
        dots = hasDotBf16() ? new ThroughputLoop(VectorOp.DOT_BF16) : null;
    }

    /** Frees them. */
    @TearDown
    public void free() {
        if (dots != null) {
            dots.close();
        }
    }

    /** Dot products of bfloat16 pairs in registers: vdpbf16ps. */
    @Benchmark
    public void dotBf16() {
        Objects.requireNonNull(dots).run(DOT_STEPS);
    }

    /**
     * Adds up the next part of a large array.
     *
     * @return the sum
     */
    @Benchmark
    public long read() {
        long a = 0;
        long b = 0;
        long c = 0;
        long d = 0;
        int end = next + PART;
        for (int i = next; i < end; i += 4) {
            a += memory[i];
            b += memory[i + 1];
            c += memory[i + 2];
            d += memory[i + 3];
        }
        next = end == memory.length ? 0 : end;
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
