package dev.dropless.kernels.tornado.device;

import uk.ac.manchester.tornado.api.annotations.Parallel;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * A stable counting sort of slots by expert. The slots are cut into chunks of one length; every chunk counts, learns where
 * its slots begin in each expert, and places them in order, so that the result does not depend on how many there are.
 *
 * <p>All four take the same words: chunks, experts, slots, slots of a chunk, where the experts' ids begin, where the
 * counts [experts, chunks] begin, where the offsets [experts + 1] begin, where the rows' slots begin, where the slots'
 * rows begin, topK, where the rows' tokens begin, where the rows' experts begin.
 */
public final class TopologyLoops {

    private TopologyLoops() {}

    /**
     * Counts each chunk's slots of each expert.
     *
     * @param words see above
     * @param constants unused
     * @param ints ids are read, counts written
     * @param floats unused
     */
    public static void count(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int c = 0; c < words.get(0); c++) {
            int counts = words.get(5) + c;
            for (int e = 0; e < words.get(1); e++) {
                ints.set(counts + e * words.get(0), 0);
            }
            int first = c * words.get(3);
            for (int n = 0; n < words.get(3); n++) {
                if (first + n < words.get(2)) {
                    int expert = ints.get(words.get(4) + first + n);
                    if (expert >= 0) {
                        int at = counts + expert * words.get(0);
                        ints.set(at, ints.get(at) + 1);
                    }
                }
            }
        }
    }

    /**
     * Turns an expert's counts into where each chunk begins in it, and its offset into its load.
     *
     * @param words see above
     * @param constants unused
     * @param ints counts are replaced, offsets written
     * @param floats unused
     */
    public static void scanChunks(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int e = 0; e < words.get(1); e++) {
            int load = 0;
            for (int c = 0; c < words.get(0); c++) {
                int at = words.get(5) + e * words.get(0) + c;
                int count = ints.get(at);
                ints.set(at, load);
                load += count;
            }
            ints.set(words.get(6) + e, load);
        }
    }

    /**
     * Turns loads into offsets.
     *
     * @param words see above
     * @param constants unused
     * @param ints offsets are replaced
     * @param floats unused
     */
    public static void scanExperts(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int n = 0; n < 1; n++) {
            int row = 0;
            for (int e = 0; e < words.get(1); e++) {
                int load = ints.get(words.get(6) + e);
                ints.set(words.get(6) + e, row);
                row += load;
            }
            ints.set(words.get(6) + words.get(1), row);
        }
    }

    /**
     * Gives every slot its row, and every row its slot, its token and its expert.
     *
     * @param words see above
     * @param constants unused
     * @param ints counts are used up, all arrays of rows and slots written
     * @param floats unused
     */
    public static void place(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int c = 0; c < words.get(0); c++) {
            int first = c * words.get(3);
            for (int n = 0; n < words.get(3); n++) {
                int slot = first + n;
                if (slot < words.get(2)) {
                    int expert = ints.get(words.get(4) + slot);
                    int row = -1;
                    if (expert >= 0) {
                        int at = words.get(5) + expert * words.get(0) + c;
                        int inside = ints.get(at);
                        ints.set(at, inside + 1);
                        row = ints.get(words.get(6) + expert) + inside;
                        ints.set(words.get(7) + row, slot);
                        ints.set(words.get(10) + row, slot / words.get(9));
                        ints.set(words.get(11) + row, expert);
                    }
                    ints.set(words.get(8) + slot, row);
                }
            }
        }
    }
}
