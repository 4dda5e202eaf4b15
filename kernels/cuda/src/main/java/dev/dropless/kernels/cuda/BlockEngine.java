package dev.dropless.kernels.cuda;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** Products of dense and block-sparse matrices: which kernel, with which arguments. Operands are checked and of one type. */
sealed interface BlockEngine permits PortableBlocks, HopperBlocks {

    /** What the kernels call the products. */
    enum Kind {
        DENSE,
        SDD,
        DSD,
        DDS
    }

    /**
     * C = op(A) op(B), or the sum of both.
     *
     * @param kind which of them is sparse
     * @param type of A and B
     * @param a A, or the data of its blocks
     * @param ta op
     * @param b B, or the data of its blocks
     * @param tb op
     * @param c C, or the data of its blocks
     * @param rows of op(A)
     * @param columns of op(B)
     * @param depth summed dimension; not read where a pattern has it
     * @param accumulate whether C is added to
     * @param pattern of the sparse matrix
     * @param stripes of C's rows, of DDS columns, that a pattern gives; 0 for a dense product
     */
    record Product(
            Kind kind,
            ElementType type,
            Matrix a,
            Transpose ta,
            Matrix b,
            Transpose tb,
            Matrix c,
            long rows,
            long columns,
            long depth,
            boolean accumulate,
            @Nullable DevicePattern pattern,
            long stripes) {}

    /** What stands in a kernel's name. */
    static String letters(Transpose ta, Transpose tb) {
        return "_" + (ta.name() + tb.name()).toLowerCase(Locale.ROOT);
    }

    /** Queues a product. */
    void product(Product product);
}
