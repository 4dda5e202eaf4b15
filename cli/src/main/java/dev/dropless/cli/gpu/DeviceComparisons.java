package dev.dropless.cli.gpu;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.BlockSparseMatrix;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.topology.BlockPattern;
import dev.dropless.topology.MoeBlockPattern;
import dev.dropless.topology.Topology;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/** Every operation of a back end against the reference at many sizes, in every type; and against itself, bit for bit. */
public final class DeviceComparisons {

    private static final List<ElementType> TYPES = List.of(ElementType.F32, ElementType.BF16, ElementType.F16);

    private static final double[] MISSING = {};

    private final Kernels device;
    private final Kernels reference;
    private final GpuReport report;
    private final boolean quick;

    /**
     * Prepares comparisons.
     *
     * @param device the back end to check
     * @param reference the one that judges
     * @param report receives the results
     * @param quick whether the smallest sizes are enough
     */
    public DeviceComparisons(Kernels device, Kernels reference, GpuReport report, boolean quick) {
        this.device = device;
        this.reference = reference;
        this.report = report;
        this.quick = quick;
    }

    /** A layer: tokens, hidden size, expert width, experts, slots of a token. */
    private record Size(int tokens, int hidden, int ffn, int experts, int topK) {}

    private static final List<Size> SIZES = List.of(
            new Size(0, 64, 64, 3, 1),
            new Size(1, 64, 64, 1, 1),
            new Size(7, 37, 19, 8, 2),
            new Size(130, 64, 128, 3, 3),
            new Size(130, 128, 256, 8, 2),
            new Size(300, 192, 64, 64, 8),
            new Size(517, 200, 136, 5, 2));

    /** Relative error by norm that passes. */
    private static double limit(ElementType type) {
        return switch (type) {
            case F64 -> 1e-12;
            case F32 -> 1e-5;
            case F16 -> 2e-3;
            case BF16 -> 1e-2;
        };
    }

    /** Compares the expert path, forward and backward. */
    public void expertPath() {
        Activation.Function[] functions = Activation.Function.values();
        int next = 0;
        for (ElementType type : TYPES) {
            for (Size size : quick ? SIZES.subList(0, 3) : SIZES) {
                boolean flag = next % 2 == 0;
                ExpertShape shape =
                        new ExpertShape(size.experts, size.hidden, size.ffn, flag, next % 3 == 0, next % 3 == 1);
                Activation activation = Activation.of(functions[next++ % functions.length]);
                Topology topology = Topology.of(ids(size, next), size.topK, size.experts);
                String name = "%s T=%d H=%d F=%d E=%d k=%d %s%s"
                        .formatted(
                                type,
                                size.tokens,
                                size.hidden,
                                size.ffn,
                                size.experts,
                                size.topK,
                                activation.function(),
                                flag ? " gated" : "");
                Map<String, double[]> expected = run(reference, topology, shape, activation, type);
                Map<String, double[]> found = run(device, topology, shape, activation, type);
                Map<String, double[]> again = run(device, topology, shape, activation, type);
                double worst = 0;
                boolean same = true;
                for (Map.Entry<String, double[]> result : expected.entrySet()) {
                    double[] values = found.getOrDefault(result.getKey(), MISSING);
                    double error = error(result.getValue(), values);
                    worst = Double.isNaN(worst) ? worst : error <= worst ? worst : error; // NaN wins
                    same &= Arrays.equals(values, again.getOrDefault(result.getKey(), MISSING));
                }
                report.compare("expert path " + name, worst, limit(type));
                report.compare("repeated " + name, same ? 0 : 1, 0);
            }
        }
    }

    /** Few rows per expert, as in decoding; about 50; an odd number of tiles; pairs of tiles; long sums. */
    private static final List<Size> ENGINE_SIZES = List.of(
            new Size(1, 64, 64, 1, 1),
            new Size(16, 128, 256, 8, 2),
            new Size(130, 64, 128, 3, 1),
            new Size(300, 192, 72, 4, 2),
            new Size(700, 264, 136, 3, 1),
            new Size(1300, 64, 200, 3, 1));

    /**
     * Compares the expert path with that of another engine of the same back end and with the reference, in the 16-bit types at sizes that need no exceptions.
     *
     * @param other the other engine
     */
    public void engines(Kernels other) {
        for (ElementType type : List.of(ElementType.BF16, ElementType.F16)) {
            for (Size size : quick ? ENGINE_SIZES.subList(0, 2) : ENGINE_SIZES) {
                for (boolean gated : new boolean[] {true, false}) {
                    ExpertShape shape = new ExpertShape(size.experts, size.hidden, size.ffn, gated, !gated, gated);
                    Activation activation =
                            Activation.of(gated ? Activation.Function.SILU : Activation.Function.GELU_TANH);
                    Topology topology = Topology.of(ids(size, 5), size.topK, size.experts);
                    Map<String, double[]> expected = run(reference, topology, shape, activation, type);
                    Map<String, double[]> found = run(device, topology, shape, activation, type);
                    Map<String, double[]> others = run(other, topology, shape, activation, type);
                    Map<String, double[]> again = run(device, topology, shape, activation, type);
                    String name = "%s T=%d H=%d F=%d E=%d k=%d%s "
                            .formatted(
                                    type,
                                    size.tokens,
                                    size.hidden,
                                    size.ffn,
                                    size.experts,
                                    size.topK,
                                    gated ? " gated" : "");
                    for (Map.Entry<String, double[]> result : expected.entrySet()) {
                        String key = result.getKey();
                        double[] values = found.getOrDefault(key, MISSING);
                        double[] portable = others.getOrDefault(key, MISSING);
                        report.compare(name + key, error(result.getValue(), values), limit(type));
                        report.compare(name + key + " by both engines", error(portable, values), limit(type));
                        boolean same = Arrays.equals(values, again.getOrDefault(key, MISSING));
                        report.compare(name + key + " repeated", same ? 0 : 1, 0);
                    }
                }
            }
        }
    }

    /** Expert ids, different within a token; the last expert is left empty where there are enough. */
    private static int[] ids(Size size, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        int usable = size.experts > size.topK ? size.experts - 1 : size.experts;
        int[] ids = new int[size.tokens * size.topK];
        for (int t = 0; t < size.tokens; t++) {
            int first = random.nextInt(usable);
            for (int j = 0; j < size.topK; j++) {
                ids[t * size.topK + j] = (first + j) % usable;
            }
        }
        return ids;
    }

    private static Map<String, double[]> run(
            Kernels kernels, Topology topology, ExpertShape shape, Activation activation, ElementType type) {
        try (DeviceRun run = new DeviceRun(kernels, topology, shape, activation, type, 42)) {
            run.forward();
            run.backward();
            return run.results();
        }
    }

    /** ||found - expected|| / ||expected||; 0 where both are zero. */
    private static double error(double[] expected, double[] found) {
        if (found.length != expected.length) {
            return Double.NaN;
        }
        double difference = 0;
        double norm = 0;
        for (int i = 0; i < expected.length; i++) {
            difference += (found[i] - expected[i]) * (found[i] - expected[i]);
            norm += expected[i] * expected[i];
        }
        return difference == 0 ? 0 : Math.sqrt(difference / norm);
    }

    /** Compares products of dense and block-sparse matrices in all transpositions. */
    public void blockSparse() {
        Topology topology = Topology.of(ids(new Size(quick ? 20 : 150, 0, 0, 4, 2), 3), 2, 4);
        List<BlockPattern> patterns = List.of(
                MoeBlockPattern.exact(topology, 32, 80),
                MoeBlockPattern.padded(topology, 64, 128),
                MoeBlockPattern.exact(topology, 128, 200));
        for (ElementType type : TYPES) {
            for (BlockPattern pattern : quick ? patterns.subList(0, 1) : patterns) {
                for (Transpose ta : Transpose.values()) {
                    for (Transpose tb : Transpose.values()) {
                        for (String product : List.of("sdd", "dsd", "dds", "gemm")) {
                            double[] expected = product(reference, product, pattern, ta, tb, type);
                            double[] found = product(device, product, pattern, ta, tb, type);
                            report.compare(
                                    "%s %s%s %s B=%d".formatted(product, ta, tb, type, pattern.blockSize()),
                                    error(expected, found),
                                    limit(type));
                        }
                    }
                }
            }
        }
    }

    private static double[] product(
            Kernels kernels, String product, BlockPattern p, Transpose ta, Transpose tb, ElementType type) {
        SplittableRandom random = new SplittableRandom(7);
        int other = 72;
        long m = p.rows();
        long n = p.columns();
        boolean plain = ta == Transpose.N;
        try (KernelMemory.Scope scope = kernels.memory().open();
                Arena arena = Arena.ofConfined()) {
            Operands operands = new Operands(kernels, scope, arena, type, random);
            BlockSparseMatrix s = new BlockSparseMatrix(p, operands.random(1, p.elements()));
            Matrix result;
            switch (product) {
                case "sdd" -> {
                    kernels.blockSparse().sdd(operands.random(m, other, ta), ta, operands.random(other, n, tb), tb, s);
                    result = s.data();
                }
                case "dsd" -> {
                    result = operands.random(plain ? m : n, other);
                    Matrix b = operands.random(plain ? n : m, other, tb);
                    kernels.blockSparse().dsd(s, ta, b, tb, result, true);
                }
                case "dds" -> {
                    result = operands.random(other, tb == Transpose.N ? n : m);
                    Matrix a = operands.random(other, tb == Transpose.N ? m : n, ta);
                    kernels.blockSparse().dds(a, ta, s, tb, result, true);
                }
                default -> {
                    result = operands.random(m, n);
                    kernels.blockSparse()
                            .gemm(operands.random(m, other, ta), ta, operands.random(other, n, tb), tb, result, true);
                }
            }
            Matrix host = Matrix.allocate(arena, type, result.rows(), result.columns());
            kernels.memory().copy(result, host);
            return host.toDoubles();
        }
    }

    /** Random matrices in a back end's memory. */
    private record Operands(
            Kernels kernels, KernelMemory.Scope scope, Arena arena, ElementType type, SplittableRandom random) {

        Matrix random(long rows, long columns) {
            Matrix host = Matrix.allocate(arena, type, rows, columns);
            for (long i = 0; i < rows; i++) {
                for (long j = 0; j < columns; j++) {
                    host.set(i, j, 2 * random.nextDouble() - 1);
                }
            }
            Matrix matrix = scope.allocate(type, rows, columns);
            kernels.memory().copy(host, matrix);
            return matrix;
        }

        Matrix random(long rows, long columns, Transpose stored) {
            return stored == Transpose.N ? random(rows, columns) : random(columns, rows);
        }
    }
}
