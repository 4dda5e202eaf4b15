package dev.dropless.blocksparse.contract;

import static dev.dropless.blocksparse.Transpose.N;
import static dev.dropless.blocksparse.Transpose.T;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.BlockSparseMatrix;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.MemorySpace;
import dev.dropless.blocksparse.spi.BlockSparseKernels;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.ExpertWeights;
import dev.dropless.topology.BcsrPattern;
import dev.dropless.topology.BlockPattern;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

/**
 * Operands of wrong shape, in wrong memory or on top of each other are refused with a message that names argument,
 * expected and found.
 */
abstract class OperandChecksContract extends ContractSupport {

    private static final BlockPattern PATTERN =
            BcsrPattern.ofMask(2, 3, 4, new boolean[] {true, false, true, false, true, false});

    private Matrix matrix(long rows, long columns) {
        return input(exactType(), rows, columns, false).matrix();
    }

    private BlockSparseMatrix blocks(BlockPattern pattern) {
        return sparse(pattern, input(exactType(), 1, pattern.elements(), false));
    }

    private Matrix elsewhere(long rows, long columns) {
        return new Matrix(
                MemorySegment.NULL, exactType(), 0, rows, columns, columns, new MemorySpace("no such back end", 3));
    }

    @Test
    void levelOne() {
        BlockSparseKernels kernels = kernels().blockSparse();
        BlockSparseMatrix s = blocks(PATTERN); // [8, 12]
        assertRejected("b", () -> kernels.gemm(matrix(3, 5), N, matrix(4, 2), N, matrix(3, 2), false));
        assertRejected("b", () -> kernels.gemm(matrix(3, 5), N, matrix(5, 2), T, matrix(3, 2), false));
        assertRejected("c", () -> kernels.gemm(matrix(3, 5), N, matrix(5, 2), N, matrix(2, 3), false));
        assertRejected("c", () -> kernels.gemm(matrix(5, 3), T, matrix(2, 5), T, matrix(3, 3), false));
        assertRejected("a", () -> kernels.gemm(elsewhere(3, 5), N, matrix(5, 2), N, matrix(3, 2), false));
        assertRejected("c", () -> kernels.gemm(matrix(3, 5), N, matrix(5, 2), N, elsewhere(3, 2), false));
        assertRejected("a", () -> kernels.sdd(matrix(9, 5), N, matrix(5, 12), N, s));
        assertRejected("a", () -> kernels.sdd(matrix(8, 5), T, matrix(5, 12), N, s));
        assertRejected("b", () -> kernels.sdd(matrix(8, 5), N, matrix(6, 12), N, s));
        assertRejected("b", () -> kernels.sdd(matrix(8, 5), N, matrix(13, 5), T, s));
        assertRejected("b", () -> kernels.dsd(s, N, matrix(8, 5), N, matrix(8, 5), false));
        assertRejected("c", () -> kernels.dsd(s, T, matrix(8, 5), N, matrix(8, 5), false));
        assertRejected("a", () -> kernels.dds(matrix(5, 12), N, s, N, matrix(5, 12), false));
        assertRejected("c", () -> kernels.dds(matrix(5, 12), N, s, T, matrix(5, 12), false));
        assertRejected("dense", () -> kernels.toDense(s, matrix(12, 8)));
        assertRejected("dense", () -> kernels.fromDense(matrix(8, 8), s));
    }

    @Test
    void patternsOfAnElementwiseProductAgree() {
        BlockSparseKernels kernels = kernels().blockSparse();
        BlockSparseMatrix s = blocks(PATTERN);
        BlockSparseMatrix shifted =
                blocks(BcsrPattern.ofMask(2, 3, 4, new boolean[] {true, true, false, false, true, false}));
        BlockSparseMatrix same =
                blocks(BcsrPattern.ofMask(2, 3, 4, new boolean[] {true, false, true, false, true, false}));
        assertRejected("y", () -> kernels.multiply(s, shifted, s));
        assertRejected("result", () -> kernels.multiply(s, s, shifted));
        kernels.multiply(s, same, same);
    }

    @Test
    void outputsDoNotOverlapInputs() {
        BlockSparseKernels kernels = kernels().blockSparse();
        Matrix all = matrix(8, 8);
        Matrix left = all.sliceColumns(0, 4);
        assertRejected("c", () -> kernels.gemm(left, N, matrix(4, 4), N, all.sliceColumns(3, 4), false));
        kernels.gemm(left, N, matrix(4, 4), N, all.sliceColumns(4, 4), false);
        BlockSparseMatrix s = blocks(PATTERN);
        Matrix run = s.data().slice(0, 1, 8, 12);
        Matrix row = new Matrix(run.segment(), run.type(), run.offset(), 12, 1, 1, run.space());
        assertRejected("c", () -> kernels.dsd(s, T, matrix(8, 1), N, row, false));
    }

    @Test
    void levelTwo() {
        ExpertKernels experts = kernels().experts();
        ExpertShape shape = new ExpertShape(3, 5, 4, true, true, true); // H = 5, F = 4, P = 8
        Activation activation = Activation.of(Activation.Function.SILU);
        TopologyCase test = new TopologyCase("four rows", 3, 2, new int[] {0, 1, -1, 2, 2, -1}); // T = 3, k = 2, N = 4
        try (ExpertPlan plan = experts.plan(test.topology());
                ExpertPlan other = experts.plan(PatternCase.sorted(2, 2));
                ExpertWeights weights = experts.allocate(shape, weightTypes().getFirst())) {
            Matrix x = matrix(3, 5);
            Matrix slots = matrix(3, 2);
            Matrix pre = matrix(4, 8);
            Matrix hidden = matrix(4, 4);
            Matrix out = matrix(4, 5);
            Matrix wrong = matrix(6, 6);
            assertRejected("plan", () -> experts.up(other, matrix(4, 5), null, weights, activation, pre, hidden));
            assertRejected("x", () -> experts.up(plan, wrong, null, weights, activation, pre, hidden));
            assertRejected("x", () -> experts.up(plan, elsewhere(3, 5), null, weights, activation, pre, hidden));
            assertRejected("inputWeights", () -> experts.up(plan, x, wrong, weights, activation, pre, hidden));
            assertRejected("pre", () -> experts.up(plan, x, slots, weights, activation, wrong, hidden));
            assertRejected("hidden", () -> experts.up(plan, x, slots, weights, activation, null, wrong));
            assertRejected("hidden", () -> experts.down(plan, wrong, weights, out));
            assertRejected("out", () -> experts.down(plan, hidden, weights, wrong));
            assertRejected("out", () -> experts.combine(plan, wrong, slots, x, false));
            assertRejected("combineWeights", () -> experts.combine(plan, out, wrong, x, false));
            assertRejected("y", () -> experts.combine(plan, out, slots, wrong, false));
            assertRejected("hidden", () -> experts.downWgrad(plan, wrong, x, slots, weights));
            assertRejected("dY", () -> experts.downWgrad(plan, hidden, wrong, slots, weights));
            assertRejected("combineWeights", () -> experts.downWgrad(plan, hidden, x, wrong, weights));
            assertRejected("dPre", () -> experts.upDgrad(plan, wrong, weights, out));
            assertRejected("dRows", () -> experts.upDgrad(plan, pre, weights, wrong));
            assertRejected("x", () -> experts.upWgrad(plan, wrong, slots, pre, weights));
            assertRejected("inputWeights", () -> experts.upWgrad(plan, x, wrong, pre, weights));
            assertRejected("dPre", () -> experts.upWgrad(plan, x, slots, wrong, weights));
            assertRejected("dRows", () -> experts.aggregate(plan, wrong, null, null, x, false, null));
            assertRejected("inputWeights", () -> experts.aggregate(plan, out, wrong, null, x, false, null));
            assertRejected("dX", () -> experts.aggregate(plan, out, slots, null, wrong, false, null));
            assertRejected("x", () -> experts.aggregate(plan, out, slots, null, x, false, matrix(3, 2)));
            assertRejected("dInputWeights", () -> experts.aggregate(plan, out, slots, x, matrix(3, 5), false, wrong));
        }
    }

    @Test
    void downDgrad() {
        ExpertKernels experts = kernels().experts();
        ExpertShape shape = new ExpertShape(3, 5, 4, true, true, true);
        TopologyCase test = new TopologyCase("four rows", 3, 2, new int[] {0, 1, -1, 2, 2, -1});
        try (ExpertPlan plan = experts.plan(test.topology());
                ExpertWeights weights = experts.allocate(shape, weightTypes().getFirst())) {
            Matrix[] right = {
                matrix(3, 5), matrix(3, 2), matrix(4, 8), matrix(4, 4), matrix(4, 8), matrix(3, 2),
            };
            String[] names = {"dY", "combineWeights", "pre", "hidden", "dPre", "dCombineWeights"};
            for (int i = 0; i < names.length; i++) {
                Matrix[] m = right.clone();
                m[i] = matrix(6, 6);
                assertRejected(names[i], () -> downDgrad(experts, plan, weights, m));
            }
            Matrix[] overlapping = right.clone();
            overlapping[4] = right[2].slice(0, 4, 0, 8);
            downDgrad(experts, plan, weights, overlapping); // the same matrix is allowed
            Matrix both = matrix(5, 8);
            overlapping[2] = both.sliceRows(0, 4);
            overlapping[4] = both.sliceRows(1, 4);
            assertRejected("dPre", () -> downDgrad(experts, plan, weights, overlapping));
        }
    }

    private static void downDgrad(ExpertKernels experts, ExpertPlan plan, ExpertWeights weights, Matrix[] m) {
        Activation activation = Activation.of(Activation.Function.SILU);
        experts.downDgrad(plan, m[0], m[1], weights, activation, m[2], m[3], false, m[4], m[5]);
    }
}
