package dev.dropless.cli.gpu;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.cli.workload.RoutingPattern;
import dev.dropless.topology.Topology;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.Optional;

/** Ceilings of a device, and times of layers of real models against them. */
public final class DeviceBenchmarks {

    private static final double SAMPLE_MILLISECONDS = 20;
    private static final int CEILING = 8192;

    /** Of a quick run, which shows that everything runs and measures nothing. */
    private static final int QUICK_CEILING = 64;

    private static final int QUICK_DIVISOR = 256;

    private final Kernels kernels;
    private final GpuReport report;
    private final boolean quick;

    /**
     * Prepares measurements.
     *
     * @param kernels the back end
     * @param report receives the results
     * @param quick whether sizes are so small that times mean nothing
     */
    public DeviceBenchmarks(Kernels kernels, GpuReport report, boolean quick) {
        this.kernels = kernels;
        this.report = report;
        this.quick = quick;
    }

    /**
     * A layer of a published model.
     *
     * @param name as in reports
     * @param tokens of the batch
     * @param hiddenSize H
     * @param ffnHiddenSize F
     * @param numExperts E
     * @param topK k
     * @param gated SwiGLU, else GELU
     * @param trains whether backward is measured too
     */
    private record Shape(
            String name,
            int tokens,
            int hiddenSize,
            int ffnHiddenSize,
            int numExperts,
            int topK,
            boolean gated,
            boolean trains) {

        Shape quick() {
            int experts = Math.min(numExperts, 8);
            return new Shape(
                    name,
                    Math.max(1, tokens / QUICK_DIVISOR / 16),
                    hiddenSize / QUICK_DIVISOR,
                    Math.max(1, ffnHiddenSize / QUICK_DIVISOR),
                    experts,
                    Math.min(topK, 2),
                    gated,
                    trains);
        }
    }

    private static final List<Shape> SHAPES = List.of(
            new Shape("olmoe-1b-7b", 16384, 2048, 1024, 64, 8, true, true),
            new Shape("qwen3-30b-a3b", 32768, 2048, 768, 128, 8, true, true),
            new Shape("mixtral-8x7b", 8192, 4096, 14336, 8, 2, true, true),
            new Shape("decode-qwen3-t16", 16, 2048, 768, 128, 8, true, false),
            new Shape("decode-mixtral-t16", 16, 4096, 14336, 8, 2, true, false),
            new Shape("decode-olmoe-t1", 1, 2048, 1024, 64, 8, true, false),
            new Shape("megablocks-medium", 8192, 1024, 4096, 64, 1, false, true),
            new Shape("megablocks-small", 32768, 768, 3072, 64, 1, false, true),
            new Shape("megablocks-xs", 65536, 512, 2048, 64, 1, false, true),
            new Shape("megablocks-coarse", 8192, 4096, 16384, 4, 1, false, true),
            new Shape("sonic-7b-n256", 24576, 1536, 256, 128, 8, true, true),
            new Shape("sonic-30b-n1024", 32768, 4096, 1024, 64, 4, true, true),
            new Shape("sonic-120b-n2048", 32768, 4096, 2048, 64, 4, true, true),
            new Shape("dsv3-ep8", 32768, 7168, 2048, 32, 1, true, true),
            new Shape("dsv3-full", 8192, 7168, 2048, 256, 8, true, true));

    /** Measures a large dense product, by these kernels and by cuBLAS where that is installed, and copies on the device. */
    public void ceilings() {
        int size = quick ? QUICK_CEILING : CEILING;
        try (KernelMemory.Scope scope = kernels.memory().open()) {
            Matrix a = random(scope, size);
            Matrix b = random(scope, size);
            Matrix c = scope.allocate(ElementType.BF16, size, size);
            Runnable await = () -> Timing.await(kernels, scope);
            double flops = 2.0 * size * size * size;
            double own = Timing.median(
                    () -> kernels.blockSparse().gemm(a, Transpose.N, b, Transpose.T, c, false),
                    await,
                    SAMPLE_MILLISECONDS);
            report.measure("gemm bf16 %d^3".formatted(size), own, flops / own / 1e9, 0);
            double copy = Timing.median(() -> kernels.memory().copy(a, c), await, SAMPLE_MILLISECONDS);
            report.measure(
                    "device copy %d KiB".formatted(size * size * 2 / 1024),
                    copy,
                    0,
                    2.0 * size * size * 2 / copy / 1e6);
            Optional<Cublas> cublas = Cublas.open();
            if (cublas.isEmpty()) {
                report.note("cuBLAS is not installed: its ceiling was not measured");
                return;
            }
            try (Cublas library = cublas.get()) {
                for (double milliseconds : new double[] {SAMPLE_MILLISECONDS, 1000}) {
                    double time = Timing.median(() -> library.gemmBf16(a, b, c), library::await, milliseconds);
                    report.measure(
                            milliseconds == SAMPLE_MILLISECONDS
                                    ? "cublas bf16 %d^3 burst".formatted(size)
                                    : "cublas bf16 %d^3 sustained".formatted(size),
                            time,
                            flops / time / 1e9,
                            0);
                }
            }
        }
    }

    private Matrix random(KernelMemory.Scope scope, int size) {
        Matrix matrix = scope.allocate(ElementType.BF16, size, size);
        java.util.SplittableRandom random = new java.util.SplittableRandom(size);
        try (Arena arena = Arena.ofConfined()) {
            Matrix host = Matrix.allocate(arena, ElementType.BF16, size, size);
            for (long i = 0; i < size; i++) {
                for (long j = 0; j < size; j++) {
                    host.set(i, j, 2 * random.nextDouble() - 1);
                }
            }
            kernels.memory().copy(host, matrix);
        }
        return matrix;
    }

    /**
     * Measures layers under uniform routing, one after the other as long as there is time.
     *
     * @param deadline of {@link System#nanoTime}, after which no shape is begun
     */
    public void shapes(long deadline) {
        for (Shape shape : SHAPES) {
            if (System.nanoTime() - deadline > 0) {
                report.note(shape.name + ": left out, the time was up");
                continue;
            }
            try {
                measure(quick ? shape.quick() : shape);
            } catch (RuntimeException e) {
                report.note(shape.name + ": " + e.getMessage());
                report.compare(shape.name + " runs", 1, 0);
            }
        }
    }

    private void measure(Shape shape) {
        int[] ids = RoutingPattern.UNIFORM.assign(shape.tokens, shape.numExperts, shape.topK, 1);
        ExpertShape experts =
                new ExpertShape(shape.numExperts, shape.hiddenSize, shape.ffnHiddenSize, shape.gated, false, false);
        Activation activation = Activation.of(shape.gated ? Activation.Function.SILU : Activation.Function.GELU_TANH);
        Topology topology = Topology.of(ids, shape.topK, shape.numExperts);
        try (DeviceRun run = new DeviceRun(kernels, topology, experts, activation, ElementType.BF16, 1)) {
            double forward = Timing.median(run::forward, run::await, SAMPLE_MILLISECONDS);
            report.measure(shape.name + " forward", forward, run.flops() / forward / 1e9, 0);
            if (shape.trains) {
                run.clearGradients();
                double backward = Timing.median(run::backward, run::await, SAMPLE_MILLISECONDS);
                report.measure(shape.name + " backward", backward, 2 * run.flops() / backward / 1e9, 0);
            }
        }
    }
}
