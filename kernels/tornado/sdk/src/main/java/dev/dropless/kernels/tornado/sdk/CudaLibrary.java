package dev.dropless.kernels.tornado.sdk;

import uk.ac.manchester.tornado.api.common.Access;
import uk.ac.manchester.tornado.api.common.LibraryTaskDescriptor;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/**
 * Library tasks that run this project's CUDA kernels in a task graph, on TornadoVM's own stream and arrays, between kernels
 * that TornadoVM compiled:
 * <pre>
 *   graph.libraryTask("product", CudaLibrary::gemm, a, b, c, m, n, k)
 * </pre>
 * For devices of TornadoVM's CUDA back end. {@link #task} takes any kernel of {@code dropless-kernels-cuda} whose argument
 * is words alone (its {@code abi.md} lists them); those of family {@code hopper} are launched in clusters and are not among
 * them.
 */
public final class CudaLibrary {

    /** Name of the library. */
    public static final String NAME = "dropless/cuda";

    private static final int TILE = 128;
    private static final int THREADS = 256;
    private static final long FLOAT32 = 0;
    private static final long DENSE = 0;
    private static final int PATTERN_ARRAYS = 9;

    private CudaLibrary() {}

    /**
     * How a kernel is started: what TornadoVM hands through to the provider.
     *
     * @param blocks how many blocks find work; fewer may be started
     */
    public record Grid(long blocks) {

        /**
         * Checks the number.
         *
         * @throws IllegalArgumentException if it is below 1
         */
        public Grid {
            if (blocks < 1) {
                throw new IllegalArgumentException("blocks: expected at least 1, found " + blocks);
            }
        }
    }

    /**
     * A task that runs a kernel.
     *
     * @param kernel its name without the prefix {@code dropless_}, for instance "convert"
     * @param grid how it is started
     * @param access of each word: what the kernel does with the array, NONE for a number
     * @param words in the order of the kernel's structure: a {@link Long}, or an array of TornadoVM, which stands for the
     *     address of its first element
     * @return the task's description
     * @throws IllegalArgumentException if there are not as many accesses as words
     */
    public static LibraryTaskDescriptor task(String kernel, Grid grid, Access[] access, Object... words) {
        if (access.length != words.length) {
            throw new IllegalArgumentException(
                    "access: expected %d, one for each word, found %d".formatted(words.length, access.length));
        }
        return new LibraryTaskDescriptor()
                .withLibrary(NAME)
                .withFunction(kernel)
                .withParameters(words)
                .withAccess(access)
                .withTuning(grid);
    }

    /**
     * Dense product c = a b in single precision, row-major without gaps.
     *
     * @param a [m, k]
     * @param b [k, n]
     * @param c overwritten, [m, n]
     * @param m rows of the result, 1 or more
     * @param n columns of the result, 1 or more
     * @param k length of the summation
     * @return the task's description
     */
    public static LibraryTaskDescriptor gemm(
            FloatArray a, FloatArray b, FloatArray c, Integer m, Integer n, Integer k) {
        Object[] words = new Object[14 + PATTERN_ARRAYS + 1];
        Access[] access = new Access[words.length];
        java.util.Arrays.fill(words, 0L);
        java.util.Arrays.fill(access, Access.NONE);
        words[0] = DENSE;
        matrix(words, access, 1, a, k, Access.READ_ONLY);
        matrix(words, access, 4, b, n, Access.READ_ONLY);
        matrix(words, access, 7, c, n, Access.WRITE_ONLY);
        words[10] = (long) m;
        words[11] = (long) n;
        words[12] = (long) k;
        words[words.length - 1] = 1L; // block size of the pattern, which a dense product does not read
        long tiles = Math.ceilDiv(m, TILE) * (long) Math.ceilDiv(n, TILE);
        return task("matmul_nn_f32", new Grid(tiles), access, words);
    }

    private static void matrix(Object[] words, Access[] access, int at, FloatArray data, int rowStride, Access how) {
        words[at] = data;
        access[at] = how;
        words[at + 1] = (long) rowStride;
        words[at + 2] = FLOAT32;
    }

    /**
     * Sets a matrix to zero.
     *
     * @param data row-major without gaps
     * @param rows rows, 1 or more
     * @param columns columns, 1 or more
     * @return the task's description
     */
    public static LibraryTaskDescriptor fillZero(FloatArray data, Integer rows, Integer columns) {
        Access[] access = {Access.WRITE_ONLY, Access.NONE, Access.NONE, Access.NONE, Access.NONE};
        long blocks = Math.ceilDiv((long) rows * columns, (long) THREADS);
        return task("fill_zero", new Grid(blocks), access, data, (long) columns, FLOAT32, (long) rows, (long) columns);
    }
}
