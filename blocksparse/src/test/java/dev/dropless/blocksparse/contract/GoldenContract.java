package dev.dropless.blocksparse.contract;

import static dev.dropless.blocksparse.Transpose.N;
import static dev.dropless.blocksparse.Transpose.T;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.Activation.Function;
import dev.dropless.blocksparse.ActivationMath;
import dev.dropless.blocksparse.BlockSparseMatrix;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.BlockSparseKernels;
import dev.dropless.topology.MoeBlockPattern;
import dev.dropless.topology.PaddedRows;
import dev.dropless.topology.Topology;
import java.util.EnumMap;
import java.util.Map;
import org.junit.jupiter.api.Test;

/**
 * A layer of three experts in small numbers, worked out by hand for ReLU (all numbers exact in every type) and to nine
 * decimals for GELU: the block
 * path on padded rows and the fused path.
 */
abstract class GoldenContract extends ContractSupport {

    private static final int EXPERTS = 3;
    private static final int HIDDEN = 2;
    private static final int FFN = 4;
    private static final int BLOCK = 2;
    private static final int[] IDS = {0, 2, 2, 1, 0, 2, 2, 0, 2, 0};
    private static final double[][] WEIGHTS = {{.5, .5}, {.75, .25}, {.5, .25}, {1, .5}, {.25, .75}};
    private static final double[][] X = {{1, 2}, {-1, 1}, {2, -1}, {0, 3}, {1, -2}};
    private static final double[][] DY = {{1, -1}, {2, 0}, {0, 1}, {1, 1}, {-1, 2}};
    private static final double[][] W1 = pairs("(1,0)(0,1)(1,1)(1,-1)(2,1)(-1,1)(0,-1)(1,2)(1,-2)(-1,-1)(0,2)(2,0)");
    private static final double[][] W2 = pairs("(1,0)(0,1)(1,1)(-1,1)(2,0)(1,-1)(0,1)(1,1)(0,-1)(1,2)(-1,0)(1,1)");

    private static final double[][] SDD = pairs("""
            (1,2)(2,-1) (3,-1)(1,3) (0,3)(1,-2) (3,-3)(-1,3) (-1,2)(0,0) (-1,1)(0,0)
            (-3,-3)(-3,0) (4,2)(2,-2) (4,-1)(-6,-3) (-2,4)(6,0) (5,1)(0,0) (-4,2)(0,0)""");
    private static final double[][] OUT = pairs("(4,5)(0,4)(3,6)(-2,3)(3,-1)(0,0)(-2,2)(-2,0)(4,0)(-6,0)(3,-1)(0,0)");
    private static final double[][] Y = pairs("(1,3.5)(-.75,-.25)(1,2)(-4.5,3)(-.75,2)");
    private static final double[][] DX = pairs("(.5,-1.5)(0,-1.5)(1.25,.5)(1,-.5)(.75,-2)");
    private static final double[][] DW1 = pairs("""
            (-.25,2.5)(-.5,.5)(1,2.5)(3.25,-5) (0,0)(-.5,.5)(0,0)(-.5,.5) (-1,1.25)(.75,-1.5)(1,-5.5)(.75,-.75)""");
    private static final double[][] DW2 = pairs("""
            (-.25,2)(2.5,.5)(3,.5)(-2.25,6) (0,0)(1,0)(0,0)(.5,0) (-1.25,3.5)(-.25,.5)(11,4)(.5,1)""");
    private static final double[][] D_WEIGHTS = pairs("(-1,-4)(-4,6)(4,0)(-6,9)(-5,8)");

    private static double[][] pairs(String text) {
        String[] numbers = text.replaceAll("[^-.0-9]+", " ").trim().split(" ");
        double[][] pairs = new double[numbers.length / 2][2];
        for (int i = 0; i < numbers.length; i++) {
            pairs[i / 2][i % 2] = Double.parseDouble(numbers[i]);
        }
        return pairs;
    }

    private static ExpertProblem problem(Function function) {
        Map<WeightPart, double[][][]> weights = new EnumMap<>(WeightPart.class);
        double[][][] gate = new double[EXPERTS][HIDDEN][FFN];
        double[][][] down = new double[EXPERTS][FFN][];
        for (int i = 0; i < W1.length; i++) {
            for (int h = 0; h < HIDDEN; h++) {
                gate[i / FFN][h][i % FFN] = W1[i][h];
            }
            down[i / FFN][i % FFN] = W2[i];
        }
        weights.put(WeightPart.GATE, gate);
        weights.put(WeightPart.DOWN, down);
        ExpertShape shape = new ExpertShape(EXPERTS, HIDDEN, FFN, false, false, false);
        return new ExpertProblem(IDS, 2, shape, Activation.of(function), X, null, WEIGHTS, DY, weights);
    }

    private static double[][] transpose(double[][] matrix) {
        return Product.op(matrix, matrix[0].length, T);
    }

    private static double[][] rows(double[][] all, int expert) {
        return java.util.Arrays.copyOfRange(all, expert * FFN, (expert + 1) * FFN);
    }

    @Test
    void fusedPathWithReluIsExactInEveryType() {
        for (ElementType type : types()) {
            for (ElementType weightType : weightTypes()) {
                Map<String, double[][]> results =
                        ExpertRun.of(kernels(), problem(Function.RELU), type, weightType, false);
                String what = type + " " + weightType + " ";
                assertMatrix(Y, results.get("y"), 0, 0, what + "y");
                assertMatrix(DX, results.get("dX"), 0, 0, what + "dX");
                assertMatrix(D_WEIGHTS, results.get("dCombineWeights"), 0, 0, what + "dCombineWeights");
                for (int e = 0; e < EXPERTS; e++) {
                    assertMatrix(rows(DW1, e), transpose(results.get("GATE " + e)), 0, 0, what + "dw1");
                    assertMatrix(rows(DW2, e), results.get("DOWN " + e), 0, 0, what + "dw2");
                }
            }
        }
    }

    @Test
    void fusedPathWithGelu() {
        ElementType weightType = weightTypes().contains(ElementType.F64) ? ElementType.F64 : ElementType.F32;
        Map<String, double[][]> results =
                ExpertRun.of(kernels(), problem(Function.GELU_TANH), exactType(), weightType, false);
        // The expected values were computed with sqrt(2/pi) cut to 0.79788456, which shifts results by about 1e-9.
        double tolerance = Math.max(2e-9, 40 * activationError());
        assertMatrix(
                pairs("(.973696578,3.371556297)(-.880456584,-.349377114)(.871344551,1.75996929)"
                        + "(-4.503637392,2.987269128)(-1.036518988,1.753359695)"),
                results.get("y"),
                0,
                tolerance,
                "y");
        assertMatrix(
                pairs("(.612861959,-1.620556752)(-1.175793524,-2.465248142)(1.338839948,.53585752)"
                        + "(3.296336668,-.447871253)(.632444042,-2.279825401)"),
                results.get("dX"),
                0,
                tolerance,
                "dX");
        assertMatrix(
                pairs("(-.795789684,-3.999929754)(-4,4.95634733)(3.678746589,-.317616019)"
                        + "(-6.010912176,8.989087824)(-5.521896123,7.898283212)"),
                results.get("dCombineWeights"),
                0,
                tolerance,
                "dCombineWeights");
        double[][] w1 = {transpose(results.get("GATE 0"))[0], transpose(results.get("GATE 2"))[3]};
        double[][] w2 = {results.get("DOWN 0")[0], results.get("DOWN 2")[3]};
        assertMatrix(pairs("(-.270741021,3.457410209)(.900841261,2.077717706)"), w1, 0, tolerance, "dw1 0, 11");
        assertMatrix(pairs("(-.210297998,1.818490837)(.420545964,.999982439)"), w2, 0, tolerance, "dw2 0, 11");
    }

    @Test
    void blockPathOnPaddedRowsIsExactInEveryType() {
        for (ElementType type : types()) {
            new BlockPath(type).check();
        }
    }

    /**
     * H1 = SDD(X, w1^T); A = relu(H1); Y = DSD(A, w2); dw2 = DSD(A^T, dY); dA = SDD(dY, w2^T); dw1 = DSD(dH1^T, X); dX
     * = DSD(dH1, w1).
     */
    private final class BlockPath {
        private final ElementType type;
        private final PaddedRows padded = PaddedRows.of(Topology.of(IDS, 2, EXPERTS), BLOCK);
        private final MoeBlockPattern pattern = MoeBlockPattern.padded(padded.topology(), BLOCK, FFN);

        BlockPath(ElementType type) {
            this.type = type;
        }

        /** Tokens in padded rows, times the weight of their slot; padding is zero. */
        private Operand gathered(double[][] tokens, boolean weighted) {
            double[][] rows = new double[padded.rows()][HIDDEN];
            for (int i = 0; i < rows.length; i++) {
                int slot = padded.slotSource(i);
                for (int h = 0; slot >= 0 && h < HIDDEN; h++) {
                    rows[i][h] = (weighted ? WEIGHTS[slot / 2][slot % 2] : 1) * tokens[slot / 2][h];
                }
            }
            return input(type, rows, HIDDEN);
        }

        private Operand sparseData() {
            return output(type, 1, pattern.elements(), false);
        }

        private BlockSparseMatrix s(Operand data) {
            return sparse(pattern, data);
        }

        void check() {
            BlockSparseKernels kernels = kernels().blockSparse();
            Operand x = gathered(X, false);
            Operand dOut = gathered(DY, true);
            Operand w1 = input(type, W1, HIDDEN);
            Operand w2 = input(type, W2, HIDDEN);
            Operand pre = sparseData();
            kernels.sdd(x.matrix(), N, w1.matrix(), T, s(pre));
            assertMatrix(flat(SDD), pre.read(), 0, 0, "SDD");
            Operand hidden = sparseData();
            fill(hidden, pre.read(), false);
            Operand out = output(type, padded.rows(), HIDDEN, false);
            kernels.dsd(s(hidden), N, w2.matrix(), N, out.matrix(), false);
            assertMatrix(OUT, out.read(), 0, 0, "DSD");

            Operand dw2 = output(type, W2.length, HIDDEN, false);
            kernels.dsd(s(hidden), T, dOut.matrix(), N, dw2.matrix(), false);
            assertMatrix(DW2, dw2.read(), 0, 0, "dw2");
            Operand dPre = sparseData();
            Operand slope = sparseData();
            kernels.sdd(dOut.matrix(), N, w2.matrix(), T, s(dPre));
            fill(slope, pre.read(), true);
            kernels.multiply(s(dPre), s(slope), s(dPre));
            Operand dw1 = output(type, W1.length, HIDDEN, false);
            kernels.dsd(s(dPre), T, x.matrix(), N, dw1.matrix(), false);
            assertMatrix(DW1, dw1.read(), 0, 0, "dw1");
            Operand dRows = output(type, padded.rows(), HIDDEN, false);
            kernels.dsd(s(dPre), N, w1.matrix(), N, dRows.matrix(), false);
            assertMatrix(Y, scattered(out.read(), true), 0, 0, "Y");
            assertMatrix(DX, scattered(dRows.read(), false), 0, 0, "dX");
        }

        private void fill(Operand target, double[][] pre, boolean derivative) {
            Activation relu = Activation.of(Function.RELU);
            int[] next = {0};
            target.fill(() -> {
                double a = pre[0][next[0]++];
                return derivative ? ActivationMath.dHidden(relu, a) : ActivationMath.hidden(relu, a);
            });
        }

        private double[][] flat(double[][] pairs) {
            double[][] data = new double[1][pairs.length * 2];
            for (int i = 0; i < data[0].length; i++) {
                data[0][i] = pairs[i / 2][i % 2];
            }
            return data;
        }

        private double[][] scattered(double[][] rows, boolean weighted) {
            double[][] tokens = new double[X.length][HIDDEN];
            for (int i = 0; i < rows.length; i++) {
                int slot = padded.slotSource(i);
                for (int h = 0; slot >= 0 && h < HIDDEN; h++) {
                    tokens[slot / 2][h] += (weighted ? WEIGHTS[slot / 2][slot % 2] : 1) * rows[i][h];
                }
            }
            return tokens;
        }
    }
}
