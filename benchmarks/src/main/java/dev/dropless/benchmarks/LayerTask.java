package dev.dropless.benchmarks;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.Int8Columns;
import dev.dropless.topology.Topology;
import java.lang.foreign.Arena;
import java.util.List;

/**
 * A whole MoE layer with given assignments: gather, up-projection, activation, down-projection, weighted sum; with
 * backward also all gradients of experts and input. Operands are functions of the task alone, so that every arm and the
 * reference make the same ones.
 *
 * @param layer sizes
 * @param tokens T
 * @param pattern who goes where
 * @param backward whether backward is computed too
 * @param dtype f32 or bf16: weights, input and activations; int8: weights in 8 bits, the rest f32, forward only
 * @param threads 1 or more
 */
public record LayerTask(MoeShape layer, int tokens, RoutingPattern pattern, boolean backward, String dtype, int threads)
        implements Task {

    private static final long SEED = 20_221;
    private static final String INT8 = "int8";
    private static final List<String> DTYPES = List.of("f32", "bf16", INT8);

    /**
     * Checks the numbers.
     *
     * @throws IllegalArgumentException if one is out of range
     */
    public LayerTask {
        if (tokens < 1 || threads < 1) {
            throw new IllegalArgumentException(
                    "tokens, threads: expected at least 1, found %d and %d".formatted(tokens, threads));
        }
        if (!DTYPES.contains(dtype)) {
            throw new IllegalArgumentException(
                    "dtype: expected one of %s, found \"%s\"".formatted(String.join(", ", DTYPES), dtype));
        }
        if (dtype.equals(INT8) && backward) {
            throw new IllegalArgumentException(
                    "pass: expected forward because int8 weights have no backward pass, found forward+backward");
        }
    }

    @Override
    public String shape() {
        return layer.name();
    }

    @Override
    public String routing() {
        return pattern.word();
    }

    @Override
    public String pass() {
        return backward ? "forward+backward" : "forward";
    }

    /**
     * Returns the type of input and activations, and of weights that are not in 8 bits.
     *
     * @return F32 or BF16
     */
    public ElementType type() {
        return dtype.equals("bf16") ? ElementType.BF16 : ElementType.F32;
    }

    /**
     * Tells whether weights are whole numbers of 8 bits with scales.
     *
     * @return true for dtype int8
     */
    public boolean int8() {
        return dtype.equals(INT8);
    }

    /**
     * Draws the assignments.
     *
     * @return expert ids [T, k]
     */
    public int[] expertIds() {
        return pattern.assign(tokens, layer.numExperts(), layer.topK(), SEED);
    }

    /**
     * Builds the topology.
     *
     * @return of {@link #expertIds}
     */
    public Topology topology() {
        return Topology.of(expertIds(), layer.topK(), layer.numExperts());
    }

    /**
     * Draws the combine weights, which add up to 1 for every token.
     *
     * @return [T, k], above 0
     */
    public float[] combineWeights() {
        int k = layer.topK();
        float[] weights = Values.uniform(SEED + 1, tokens * k, 1);
        for (int t = 0; t < tokens; t++) {
            float sum = 0;
            for (int j = t * k; j < (t + 1) * k; j++) {
                weights[j] = 1.25f + weights[j];
                sum += weights[j];
            }
            for (int j = t * k; j < (t + 1) * k; j++) {
                weights[j] /= sum;
            }
        }
        return weights;
    }

    /**
     * Makes the input.
     *
     * @param arena owner of the memory
     * @return x [T, H], uniform of variance 1, of type {@link #type}
     */
    public Matrix newInput(Arena arena) {
        Matrix x = Matrix.allocate(arena, type(), tokens, layer.hiddenSize());
        return Values.fill(SEED + 2, Math.sqrt(3), x);
    }

    /**
     * Makes the gradient of the output.
     *
     * @param arena owner of the memory
     * @return dY [T, H], uniform of variance 1
     */
    public Matrix newOutputGradient(Arena arena) {
        Matrix dY = Matrix.allocate(arena, type(), tokens, layer.hiddenSize());
        return Values.fill(SEED + 3, Math.sqrt(3), dY);
    }

    /**
     * Makes the weights of one expert's part, uniform of variance 1 / inputs, already rounded to what they are stored as.
     *
     * @param part GATE, UP or DOWN
     * @param expert 0..E-1
     * @return row-major in the orientation y = x W
     */
    public float[] weights(WeightPart part, int expert) {
        int rows = layer.experts().rows(part);
        int count = Math.multiplyExact(rows, layer.experts().columns(part));
        float[] values = Values.uniform(SEED + 10 + 10L * expert + part.ordinal(), count, Math.sqrt(3.0 / rows));
        if (int8()) {
            roundToSteps(values, rows, count / rows);
        } else if (type() == ElementType.BF16) {
            for (int i = 0; i < count; i++) {
                values[i] = ElementType.bf16ToFloat(ElementType.floatToBf16(values[i]));
            }
        }
        return values;
    }

    /** Every column becomes multiples of one step, which 8 bits keep exactly because its first weight is the largest multiple. */
    private static void roundToSteps(float[] values, int rows, int columns) {
        float step = (float) (Math.sqrt(3.0 / rows) / Int8Columns.LIMIT);
        for (int i = 0; i < values.length; i++) {
            int multiple = i < columns ? Int8Columns.LIMIT : Int8Columns.quantize(values[i], step);
            values[i] = multiple * step;
        }
    }

    @Override
    public double usefulFlops() {
        return flopsOfRows((double) tokens * layer.topK());
    }

    /**
     * Returns the operations of the products for a number of rows.
     *
     * @param rows rows of all experts together
     * @return 2 per weight and row forward, twice that more for backward
     */
    public double flopsOfRows(double rows) {
        return 2.0 * layer.weightsPerExpert() * rows * (backward ? 3 : 1);
    }

    /**
     * Weights of experts with rows, x and y. With backward: weights twice, their single-precision gradients read and
     * written, x twice, dY, dX.
     */
    @Override
    public double compulsoryBytes() {
        double weights = 0;
        Topology topology = topology();
        for (int e = 0; e < layer.numExperts(); e++) {
            weights += topology.tokensPerExpert(e) > 0 ? layer.weightsPerExpert() : 0;
        }
        double activations = (double) tokens * layer.hiddenSize();
        int bytes = type().bytes();
        return backward
                ? weights * (2 * bytes + 8) + activations * (3 * bytes + 8)
                : weights * (int8() ? 1 : bytes) + activations * (bytes + 4);
    }
}
