package dev.dropless.cli.gpu;

import dev.dropless.blocksparse.BlockSparseMatrix;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.BlockSparseKernels;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.topology.MoeBlockPattern;
import dev.dropless.topology.Topology;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * The six block-sparse products of a layer's forward and backward pass at the shapes of MegaBlocks, with blocks of 128 and as many tokens for every expert, as its own benchmark has
 * them; beside the same products as one batched call of cuBLAS.
 */
final class BlockBenchmark {

    private static final int BLOCK = 128;

    private static final Anchor MEGABLOCKS = new Anchor(
            0.986,
            true,
            "MegaBlocks, A100, 128 x 128 blocks, mean over its shapes and products (arXiv 2211.15841, section 6.3)");

    private final Kernels kernels;
    private final Ceilings ceilings;
    private final GpuReport report;
    private final boolean quick;

    BlockBenchmark(Kernels kernels, Ceilings ceilings, GpuReport report, boolean quick) {
        this.kernels = kernels;
        this.ceilings = ceilings;
        this.report = report;
        this.quick = quick;
    }

    /** Measures all shapes until a moment of {@link System#nanoTime}. */
    void run(long deadline) {
        Optional<Cublas> found = kernels.memory().space().isHost() ? Optional.empty() : Cublas.open();
        if (found.isEmpty()) {
            report.note("cuBLAS was not found on LD_LIBRARY_PATH: no row says how fast it is");
        }
        try (Timing timing = new Timing(kernels, quick);
                Cublas cublas = found.orElse(null)) {
            for (BenchmarkShape shape : BenchmarkShape.of(BenchmarkShape.MEGABLOCKS, quick)) {
                if (System.nanoTime() - deadline > 0) {
                    report.add(Measured.skipped(shape.name() + " blocks", "the part's time was up"));
                    continue;
                }
                measure(shape, timing, Optional.ofNullable(cublas));
            }
        }
    }

    /** Rows go to the experts in turn. */
    private static Topology even(BenchmarkShape shape) {
        int[] ids = new int[shape.tokens()];
        Arrays.setAll(ids, t -> t % shape.numExperts());
        return Topology.of(ids, 1, shape.numExperts());
    }

    private void measure(BenchmarkShape shape, Timing timing, Optional<Cublas> cublas) {
        int t = shape.tokens();
        int h = shape.hiddenSize();
        int e = shape.numExperts();
        long width = (long) e * shape.ffnHiddenSize();
        int block = quick ? 8 : BLOCK;
        MoeBlockPattern pattern = MoeBlockPattern.exact(even(shape), block, shape.ffnHiddenSize());
        BlockSparseKernels products = kernels.blockSparse();
        try (KernelMemory.Scope scope = kernels.memory().open()) {
            RandomFill random = new RandomFill(kernels, t);
            ElementType type = ElementType.BF16;
            Matrix x = random.matrix(scope, type, t, h, 1);
            Matrix y = random.matrix(scope, type, t, h, 1);
            Matrix in = random.matrix(scope, type, h, width, 1 / Math.sqrt(h));
            Matrix out = random.matrix(scope, type, width, h, 1 / Math.sqrt(width));
            BlockSparseMatrix s = new BlockSparseMatrix(pattern, random.matrix(scope, type, 1, pattern.elements(), 1));
            Matrix dIn = scope.allocate(type, h, width);
            int f = shape.ffnHiddenSize();
            int m = t / e;
            long rows = (long) m * h;
            long hidden = (long) m * f;
            Cublas.Operand tokens = new Cublas.Operand(x, h, rows);
            Cublas.Operand results = new Cublas.Operand(y, h, rows);
            Cublas.Operand up = new Cublas.Operand(in, width, f);
            Cublas.Operand upGradient = new Cublas.Operand(dIn, width, f);
            Cublas.Operand down = new Cublas.Operand(out, h, (long) f * h);
            Cublas.Operand inner = new Cublas.Operand(s.data(), f, hidden);
            List<Product> all = List.of(
                    new Product(
                            "sdd nn",
                            () -> products.sdd(x, Transpose.N, in, Transpose.N, s),
                            new Cublas.Batched(tokens, Transpose.N, up, Transpose.N, inner, m, f, h, e)),
                    new Product(
                            "dsd nn",
                            () -> products.dsd(s, Transpose.N, out, Transpose.N, y, false),
                            new Cublas.Batched(inner, Transpose.N, down, Transpose.N, results, m, h, f, e)),
                    new Product(
                            "sdd nt",
                            () -> products.sdd(y, Transpose.N, out, Transpose.T, s),
                            new Cublas.Batched(results, Transpose.N, down, Transpose.T, inner, m, f, h, e)),
                    new Product(
                            "dsd tn",
                            () -> products.dsd(s, Transpose.T, y, Transpose.N, out, false),
                            new Cublas.Batched(inner, Transpose.T, results, Transpose.N, down, f, h, m, e)),
                    new Product(
                            "dsd nt",
                            () -> products.dsd(s, Transpose.N, in, Transpose.T, x, false),
                            new Cublas.Batched(inner, Transpose.N, up, Transpose.T, tokens, m, h, f, e)),
                    new Product(
                            "dds tn",
                            () -> products.dds(x, Transpose.T, s, Transpose.N, dIn, false),
                            new Cublas.Batched(tokens, Transpose.T, inner, Transpose.N, upGradient, h, f, m, e)));
            double own = 0;
            double theirs = 0;
            for (Product product : all) {
                String name = shape.name() + " " + product.name;
                double time = timing.median(product.work);
                Measured row = Measured.of(name, time).flops(product.batched.flops(), ceilings);
                if (cublas.isPresent()) {
                    Cublas library = cublas.get();
                    double batched = timing.median(() -> library.gemmBf16(product.batched), library::await);
                    report.add(
                            Measured.of(name + ", cublas batched", batched).flops(product.batched.flops(), ceilings));
                    row.cublas(batched);
                    own += time;
                    theirs += batched;
                }
                report.add(row);
            }
            summary(shape, all, own, theirs);
        }
    }

    /** All six together. */
    private void summary(BenchmarkShape shape, List<Product> products, double own, double theirs) {
        if (theirs > 0) {
            double flops = products.stream().mapToDouble(p -> p.batched.flops()).sum();
            report.add(Measured.of(shape.name() + " six products", own)
                    .flops(flops, ceilings)
                    .cublas(theirs)
                    .anchor(quick ? null : MEGABLOCKS));
        }
    }

    /** A product, and the batch of dense products that is the same. */
    private record Product(String name, Runnable work, Cublas.Batched batched) {}
}
