package dev.dropless.benchmarks;

import dev.dropless.blocksparse.Matrix;

/** Dense products with one expert's weights, by some library, for {@link ExpertLoop}. */
public interface ExpertProducts extends AutoCloseable {

    /**
     * Computes the pre-activations of one expert.
     *
     * @param expert 0..E-1
     * @param rows input rows [m, H], of the task's type, native memory
     * @param pre room for gate columns, then up columns [m, P], single precision
     * @return where they are: {@code pre}, or dense memory of the library's that is valid until the next product
     */
    Matrix up(int expert, Matrix rows, Matrix pre);

    /**
     * Computes the output of one expert.
     *
     * @param expert 0..E-1
     * @param hidden activations [m, F], of the task's type, native memory
     * @param out room for the outputs [m, H], single precision
     * @return where they are: {@code out}, or dense memory of the library's that is valid until the next product
     */
    Matrix down(int expert, Matrix hidden, Matrix out);

    /**
     * Says what computes.
     *
     * @return one line
     */
    String description();

    /** Frees the weights. */
    @Override
    void close();
}
