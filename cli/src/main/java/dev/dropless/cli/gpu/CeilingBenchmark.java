package dev.dropless.cli.gpu;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import java.io.IOException;
import java.util.Optional;

/** What a device reaches at its best: a large dense product by these kernels and by cuBLAS or PyTorch, in bursts and sustained, and copies on the device. */
public final class CeilingBenchmark {

    private static final int SIZE = 8192;

    /** Of a quick run. */
    private static final int QUICK_SIZE = 64;

    private static final double SUSTAINED_MILLISECONDS = 2000;

    private static final Anchor FAST =
            Anchor.teraflops(808, "fast.cu, H100, this product (github.com/pranjalssh/fast.cu)");

    private final Kernels kernels;
    private final GpuReport report;
    private final boolean quick;
    private double burst;
    private double sustained;

    /**
     * Prepares measurements.
     *
     * @param kernels the back end
     * @param report receives the results, the best of which become its fact {@code ceilings}
     * @param quick whether sizes are so small that times mean nothing
     */
    public CeilingBenchmark(Kernels kernels, GpuReport report, boolean quick) {
        this.kernels = kernels;
        this.report = report;
        this.quick = quick;
    }

    /** Measures. */
    public void run() {
        int size = quick ? QUICK_SIZE : SIZE;
        try (KernelMemory.Scope scope = kernels.memory().open();
                Timing timing = new Timing(kernels, quick)) {
            RandomFill random = new RandomFill(kernels, size);
            Matrix a = random.matrix(scope, ElementType.BF16, size, size, 1);
            Matrix b = random.matrix(scope, ElementType.BF16, size, size, 1);
            Matrix c = scope.allocate(ElementType.BF16, size, size);
            product(
                    timing,
                    "gemm bf16 %d^3".formatted(size),
                    size,
                    () -> kernels.blockSparse().gemm(a, Transpose.N, b, Transpose.T, c, false),
                    timing::await);
            double copy = timing.median(() -> kernels.memory().copy(a, c));
            double bytes = 2.0 * size * size * ElementType.BF16.bytes();
            report.add(Measured.of("device copy %d KiB".formatted((int) (bytes / 2 / 1024)), copy)
                    .bytes(bytes));
            others(timing, size, a, b, c);
            report.fact("ceilings", new Ceilings(burst, sustained, bytes / copy / 1e6).toString());
        }
    }

    /** cuBLAS; where it is not found, PyTorch, which brings its own. */
    private void others(Timing timing, int size, Matrix a, Matrix b, Matrix c) {
        Optional<Cublas> found = kernels.memory().space().isHost() ? Optional.empty() : Cublas.open();
        if (found.isPresent()) {
            try (Cublas cublas = found.get()) {
                product(
                        timing,
                        "cublas bf16 %d^3".formatted(size),
                        size,
                        () -> cublas.gemmBf16(a, b, c),
                        cublas::await);
            }
            return;
        }
        report.note("cuBLAS was not found on LD_LIBRARY_PATH");
        if (quick) {
            return;
        }
        try {
            TorchCeilings torch = TorchCeilings.measure();
            torch.rows().forEach(report::add);
            burst = Math.max(burst, torch.burst());
            sustained = Math.max(sustained, torch.sustained());
        } catch (IOException e) {
            report.note("PyTorch was not measured: " + e.getMessage());
        }
    }

    private void product(Timing timing, String name, int size, Runnable work, Runnable await) {
        double flops = 2.0 * size * size * size;
        double once = timing.median(work, await);
        report.add(Measured.of(name + " burst", once)
                .flops(flops, Ceilings.UNKNOWN)
                .anchor(quick ? null : FAST));
        burst = Math.max(burst, flops / once / 1e9);
        double steady = timing.sustained(work, await, SUSTAINED_MILLISECONDS);
        report.add(Measured.of(name + " sustained", steady).flops(flops, Ceilings.UNKNOWN));
        sustained = Math.max(sustained, flops / steady / 1e9);
    }
}
