package dev.dropless.blocksparse.spi;

import dev.dropless.blocksparse.Matrix;

/**
 * Elementwise work of a layer around its products, in the back end's memory. Operands are in the type that sums are
 * made in or narrower; results are rounded once when written. Shapes are the caller's responsibility: this is an
 * interface between a layer and its back end.
 */
public interface ElementwiseKernels {

    /**
     * Sets every element.
     *
     * @param matrix overwritten
     * @param value what with
     */
    void fill(Matrix matrix, double value);

    /**
     * Multiplies element by element: out = a * b, or out += a * b.
     *
     * @param a first factor
     * @param b second factor
     * @param out the result, of the same shape; may be a or b
     * @param accumulate whether to add to out
     */
    void multiply(Matrix a, Matrix b, Matrix out, boolean accumulate);

    /**
     * The gate of a shared expert: gate[t] = factor * sigmoid(s[t]).
     *
     * @param s logits of the gate, [T, 1]
     * @param factor any number but 0
     * @param gate receives the gate, [T, 1]
     */
    void sigmoidGate(Matrix s, double factor, Matrix gate);

    /**
     * Turns the gradient of a gate into the gradient of its logits, in place: d[t] *= factor p (1 - p), p = gate[t] /
     * factor.
     *
     * @param gate what {@link #sigmoidGate} wrote, [T, 1]
     * @param factor as there
     * @param gradient changed, [T, 1]
     */
    void sigmoidGateBackward(Matrix gate, double factor, Matrix gradient);
}
