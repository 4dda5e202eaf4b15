package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.BlockSparseMatrix;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.topology.BlockPattern;

/** One side of a product at level 1, seen with index i (rows of the left, columns of the right operand) and index k (the one summed over), in groups. */
sealed interface Operand {

    /** Copies elements i..i+ni-1, k..k+nk-1 of a group's operand. */
    void pack(int group, int i, int ni, int k, int nk, Packer packer, Scratch scratch);

    /** Whether k runs along the rows in memory. */
    boolean alongK();

    /** Whether those elements are floats in rows of one rectangle of memory, each with all i of one k. */
    boolean isRectangle(int group, int k, int nk);

    /** Says where those elements lie; not all of them, if that is not a single rectangle of memory. */
    void locate(int group, int i, int ni, int k, int nk, Ahead ahead);

    /** Where a group's k lie in a dense operand: as entries of the other operand, or in one piece. */
    sealed interface Terms {

        /** Where each piece begins in k, and the end. */
        int[] starts(int group);

        /** First row or column of a piece in the dense operand. */
        long position(int group, int piece);
    }

    /** All k, in order. */
    record AllTerms(int[] bounds) implements Terms {

        static AllTerms of(int depth) {
            return new AllTerms(new int[] {0, depth});
        }

        @Override
        public int[] starts(int group) {
            return bounds;
        }

        @Override
        public long position(int group, int piece) {
            return 0;
        }
    }

    /** The k of a group's blocks. */
    record BlockTerms(StripeGroups groups) implements Terms {

        @Override
        public int[] starts(int group) {
            return groups.entryStarts(group);
        }

        @Override
        public long position(int group, int piece) {
            return groups.partnerOffset(groups.partner(groups.firstStripe(group), piece));
        }
    }

    /** Index of the piece in which k lies. */
    static int pieceAt(int[] starts, int k) {
        int low = 0;
        int high = starts.length - 1;
        while (high - low > 1) { // starts[low] <= k < starts[high]
            int middle = (low + high) >>> 1;
            if (starts[middle] <= k) {
                low = middle;
            } else {
                high = middle;
            }
        }
        return low;
    }

    /**
     * A dense matrix.
     *
     * @param matrix the data
     * @param alongK whether k runs along its rows
     * @param first first i of each group; empty means 0
     * @param terms where k lies
     */
    record Dense(Matrix matrix, boolean alongK, long[] first, Terms terms) implements Operand {

        @Override
        public void pack(int group, int i, int ni, int k, int nk, Packer packer, Scratch scratch) {
            int[] starts = terms.starts(group);
            long position = (first.length == 0 ? 0 : first[group]) + i;
            for (int piece = pieceAt(starts, k); piece < starts.length - 1 && starts[piece] < k + nk; ) {
                int from = Math.max(k, starts[piece]);
                int next = nextApart(group, piece, k + nk);
                int count = Math.min(k + nk, starts[next]) - from;
                long term = terms.position(group, piece) + from - starts[piece];
                if (alongK) {
                    packer.alongK(
                            matrix, matrix.index(position, term), matrix.rowStride(), i, ni, from, count, scratch);
                } else {
                    packer.acrossK(
                            matrix, matrix.index(term, position), matrix.rowStride(), i, ni, from, count, scratch);
                }
                piece = next;
            }
        }

        /** The next piece that does not lie where the one before it ends, or that begins at or after {@code end}. */
        private int nextApart(int group, int piece, int end) {
            int[] starts = terms.starts(group);
            long first = terms.position(group, piece);
            int next = piece + 1;
            while (next < starts.length - 1
                    && starts[next] < end
                    && terms.position(group, next) - first == starts[next] - starts[piece]) {
                next++;
            }
            return next;
        }

        @Override
        public boolean isRectangle(int group, int k, int nk) {
            int[] starts = terms.starts(group);
            int next = nextApart(group, pieceAt(starts, k), k + nk);
            return matrix.type() == ElementType.F32 && !alongK && starts[next] >= k + nk;
        }

        @Override
        public void locate(int group, int i, int ni, int k, int nk, Ahead ahead) {
            int[] starts = terms.starts(group);
            int piece = pieceAt(starts, k);
            long position = (first.length == 0 ? 0 : first[group]) + i;
            long term = terms.position(group, piece) + k - starts[piece];
            long index = alongK ? matrix.index(position, term) : matrix.index(term, position);
            ahead.set(matrix, index, matrix.rowStride(), alongK ? ni : nk, alongK ? nk : ni);
        }
    }

    /**
     * A block-sparse matrix: i runs over the stripes of a group, k over their entries.
     *
     * @param matrix the data
     * @param groups its stripes
     * @param alongK whether k runs along the rows of a block
     */
    record Sparse(BlockSparseMatrix matrix, StripeGroups groups, boolean alongK) implements Operand {

        @Override
        public void pack(int group, int i, int ni, int k, int nk, Packer packer, Scratch scratch) {
            BlockPattern pattern = matrix.pattern();
            int[] starts = groups.entryStarts(group);
            long origin = groups.offset(group);
            int stripe = groups.firstStripe(group);
            for (int x = i; x < i + ni; ) {
                stripe = groups.stripeAt(stripe, origin + x);
                int inside = (int) (origin + x - groups.stripeOffset(stripe));
                int height = (int) Math.min(groups.stripeOffset(stripe + 1) - origin - x, i + ni - x);
                for (int entry = pieceAt(starts, k); entry < starts.length - 1 && starts[entry] < k + nk; entry++) {
                    int from = Math.max(k, starts[entry]);
                    int count = Math.min(k + nk, starts[entry + 1]) - from;
                    int block = groups.block(stripe, entry);
                    int width = pattern.width(pattern.columnOf(block));
                    long index = matrix.data().offset() + pattern.dataOffset(block);
                    int term = from - starts[entry];
                    if (alongK) {
                        index += (long) inside * width + term;
                        packer.alongK(matrix.data(), index, width, x, height, from, count, scratch);
                    } else {
                        index += (long) term * width + inside;
                        packer.acrossK(matrix.data(), index, width, x, height, from, count, scratch);
                    }
                }
                x += height;
            }
        }

        @Override
        public boolean isRectangle(int group, int k, int nk) {
            return false;
        }

        @Override
        public void locate(int group, int i, int ni, int k, int nk, Ahead ahead) {
            int[] starts = groups.entryStarts(group);
            int entry = pieceAt(starts, k);
            long origin = groups.offset(group) + i;
            int stripe = groups.stripeAt(groups.firstStripe(group), origin);
            int block = groups.block(stripe, entry);
            int width = matrix.pattern().width(matrix.pattern().columnOf(block));
            long inside = origin - groups.stripeOffset(stripe);
            int term = k - starts[entry];
            long index = matrix.data().offset() + matrix.pattern().dataOffset(block);
            index += alongK ? inside * width + term : (long) term * width + inside;
            ahead.set(matrix.data(), index, width, alongK ? ni : nk, alongK ? nk : ni);
        }
    }
}
