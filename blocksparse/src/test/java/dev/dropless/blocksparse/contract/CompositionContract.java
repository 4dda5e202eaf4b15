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
import dev.dropless.topology.Topology;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Level 2 equals the schedule of level 1 over the block-diagonal matrix of the topology (MegaBlocks, arXiv 2211.15841,
 * section 5.1):
 * SDD up, DSD down, and backward SDD, DSD^T, DDS and DSD.
 */
abstract class CompositionContract extends ContractSupport {

    static Stream<TopologyCase> topologies() {
        return TopologyCase.all();
    }

    @ParameterizedTest
    @MethodSource("topologies")
    void levelTwoIsTheCompositionOfLevelOne(TopologyCase test) {
        int flavour = 0;
        for (int blockSize : new int[] {1, 8, 16, 128}) {
            boolean gated = flavour++ % 2 == 1;
            ExpertShape shape = new ExpertShape(test.numExperts(), 19, 24, gated, false, false);
            Activation activation = new Activation(Function.SILU, 1.5, 2, 1.5, 0.5);
            ExpertProblem problem =
                    ExpertProblem.random(random, test.ids(), test.topK(), shape, activation, blockSize > 1);
            ElementType weightType = weightTypes().contains(ElementType.F64) ? ElementType.F64 : ElementType.F32;
            Map<String, double[][]> fused = ExpertRun.of(kernels(), problem, exactType(), weightType, false);
            new Composition(problem, blockSize, fused, test + " B=" + blockSize).check();
        }
    }

    private final class Composition {
        private final ExpertProblem problem;
        private final ExpertShape shape;
        private final Topology topology;
        private final MoeBlockPattern pattern;
        private final PatternCase layout;
        private final Map<String, double[][]> fused;
        private final String name;
        private final BlockSparseKernels kernels = kernels().blockSparse();

        Composition(ExpertProblem problem, int blockSize, Map<String, double[][]> fused, String name) {
            this.problem = problem;
            this.shape = problem.shape();
            this.topology = problem.topology();
            this.pattern = MoeBlockPattern.exact(topology, blockSize, shape.ffnHiddenSize());
            this.layout = new PatternCase(name, pattern);
            this.fused = fused;
            this.name = name;
        }

        private Operand dense(double[][] values, int columns) {
            return input(exactType(), values, columns);
        }

        private Operand sparseData() {
            return output(exactType(), 1, pattern.elements(), false);
        }

        /** Rows of the experts' work: the token of each row, times the weight of its slot. */
        private double[][] rows(double[][] tokens, double[][] slotWeights) {
            double[][] rows = new double[topology.rows()][shape.hiddenSize()];
            for (int r = 0; r < rows.length; r++) {
                int slot = topology.slotOfRow(r);
                double weight = slotWeights == null ? 1 : slotWeights[slot / problem.topK()][slot % problem.topK()];
                for (int h = 0; h < rows[r].length; h++) {
                    rows[r][h] = weight * tokens[topology.tokenOfRow(r)][h];
                }
            }
            return rows;
        }

        /** Experts side by side: [H, E * F] of an up-projection. */
        private double[][] sideBySide(WeightPart part) {
            int f = shape.ffnHiddenSize();
            double[][] all = new double[shape.hiddenSize()][shape.numExperts() * f];
            for (int e = 0; e < shape.numExperts(); e++) {
                for (int h = 0; h < all.length; h++) {
                    System.arraycopy(problem.part(part, e)[h], 0, all[h], e * f, f);
                }
            }
            return all;
        }

        /** Experts below each other: [E * F, H] of the down-projection. */
        private double[][] stacked() {
            double[][] all = new double[shape.numExperts() * shape.ffnHiddenSize()][];
            for (int i = 0; i < all.length; i++) {
                all[i] = problem.part(WeightPart.DOWN, i / shape.ffnHiddenSize())[i % shape.ffnHiddenSize()];
            }
            return all;
        }

        /** The block data of one row-major [N, F] half of a fused matrix, columns from first on. */
        private double[][] expectedData(String matrix, int first) {
            int f = shape.ffnHiddenSize();
            double[][] values = fused.get(matrix);
            double[][] dense = new double[topology.rows()][shape.numExperts() * f];
            for (int r = 0; r < dense.length; r++) {
                System.arraycopy(values[r], first, dense[r], topology.expertOfRow(r) * f, f);
            }
            return layout.sampled(dense);
        }

        void check() {
            int h = shape.hiddenSize();
            int f = shape.ffnHiddenSize();
            int wide = shape.numExperts() * f;
            Operand x = dense(rows(problem.x(), problem.inputWeights()), h);
            Operand gateWeights = dense(sideBySide(WeightPart.GATE), wide);
            Operand downWeights = dense(stacked(), h);
            Operand gate = sdd(x, gateWeights, N, "pre", 0);
            Operand up = gate;
            Operand upWeights = gateWeights;
            if (shape.gated()) {
                upWeights = dense(sideBySide(WeightPart.UP), wide);
                up = sdd(x, upWeights, N, "pre", f);
            }
            Operand hidden = dense(activations(gate.read(), up.read()), (int) pattern.elements());
            compare(expectedData("hidden", 0), hidden, "hidden");
            Operand out = output(exactType(), topology.rows(), h, false);
            kernels.dsd(s(hidden), N, downWeights.matrix(), N, out.matrix(), false);
            compare(fused.get("out"), out, "out");

            Operand dOut = dense(rows(problem.dY(), problem.combineWeights()), h);
            Operand dDown = output(exactType(), wide, h, false);
            kernels.dsd(s(hidden), T, dOut.matrix(), N, dDown.matrix(), false);
            compareStacked(dDown);
            Operand dHidden = sparseData();
            kernels.sdd(dOut.matrix(), N, downWeights.matrix(), T, s(dHidden));
            Operand dRows = output(exactType(), topology.rows(), h, false);
            Operand dGate = gradient(dHidden, gate, up, false);
            compare(expectedData("dPre", 0), dGate, "dGate");
            dUpWeights(x, dGate, WeightPart.GATE);
            kernels.dsd(s(dGate), N, gateWeights.matrix(), T, dRows.matrix(), false);
            if (shape.gated()) {
                Operand dUp = gradient(dHidden, gate, up, true);
                compare(expectedData("dPre", f), dUp, "dUp");
                dUpWeights(x, dUp, WeightPart.UP);
                kernels.dsd(s(dUp), N, upWeights.matrix(), T, dRows.matrix(), true);
            }
            compare(fused.get("dRows"), dRows, "dRows");
        }

        private BlockSparseMatrix s(Operand data) {
            return sparse(pattern, data);
        }

        private Operand sdd(Operand a, Operand b, dev.dropless.blocksparse.Transpose tb, String expected, int first) {
            Operand data = sparseData();
            kernels.sdd(a.matrix(), N, b.matrix(), tb, s(data));
            compare(expectedData(expected, first), data, expected + " from column " + first);
            return data;
        }

        private double[][] activations(double[][] gate, double[][] up) {
            double[][] hidden = new double[1][gate[0].length];
            for (int i = 0; i < hidden[0].length; i++) {
                hidden[0][i] = shape.gated()
                        ? ActivationMath.hidden(problem.activation(), gate[0][i], up[0][i])
                        : ActivationMath.hidden(problem.activation(), gate[0][i]);
            }
            return hidden;
        }

        private Operand gradient(Operand dHidden, Operand gate, Operand up, boolean ofUp) {
            double[][] d = dHidden.read();
            double[][] a = gate.read();
            double[][] b = up.read();
            for (int i = 0; i < d[0].length; i++) {
                d[0][i] *= ofUp
                        ? ActivationMath.dUp(problem.activation(), a[0][i], b[0][i])
                        : shape.gated()
                                ? ActivationMath.dGate(problem.activation(), a[0][i], b[0][i])
                                : ActivationMath.dHidden(problem.activation(), a[0][i]);
            }
            return dense(d, d[0].length);
        }

        private void dUpWeights(Operand x, Operand dPre, WeightPart part) {
            int f = shape.ffnHiddenSize();
            Operand gradient = output(exactType(), shape.hiddenSize(), (long) shape.numExperts() * f, false);
            kernels.dds(x.matrix(), T, s(dPre), N, gradient.matrix(), false);
            double[][] all = new double[shape.hiddenSize()][shape.numExperts() * f];
            for (int e = 0; e < shape.numExperts(); e++) {
                double[][] values = fused.get(part + " " + e);
                for (int h = 0; h < all.length; h++) {
                    System.arraycopy(values[h], 0, all[h], e * f, f);
                }
            }
            compare(all, gradient, "gradient of " + part);
        }

        private void compareStacked(Operand dDown) {
            int f = shape.ffnHiddenSize();
            double[][] all = new double[shape.numExperts() * f][];
            for (int i = 0; i < all.length; i++) {
                all[i] = fused.get("DOWN " + i / f)[i % f];
            }
            compare(all, dDown, "gradient of DOWN");
        }

        private void compare(double[][] expected, Operand found, String what) {
            double tolerance = 2000 * unit(kernels().accumulation());
            assertMatrix(expected, found.read(), tolerance, tolerance * 10, name + " " + what);
        }
    }
}
