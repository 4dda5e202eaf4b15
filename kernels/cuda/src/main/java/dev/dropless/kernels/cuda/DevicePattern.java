package dev.dropless.kernels.cuda;

import dev.dropless.topology.BlockPattern;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.IntToLongFunction;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/** The index arrays of a block pattern on the device, in one allocation. */
final class DevicePattern implements AutoCloseable {

    private static final int ARRAYS = 9;

    private final CudaMemory.DeviceScope scope;
    private final long[] addresses = new long[ARRAYS];
    private final int blockSize;
    private final int blocks;
    private final long elements;
    private final int mostBlocks;
    private final boolean ragged;
    private final boolean wholeColumns;
    private final boolean rowsAtMultiplesOf8;

    /** Ints in one run, arrays at multiples of 16 bytes; 64-bit numbers as two of them, low half first. */
    private static final class Packed {
        private final int[][] parts = new int[ARRAYS][];
        private int next;

        Packed longs(int count, IntToLongFunction value) {
            int[] words = new int[2 * count];
            for (int i = 0; i < count; i++) {
                long v = value.applyAsLong(i);
                words[2 * i] = (int) v;
                words[2 * i + 1] = (int) (v >>> 32);
            }
            parts[next++] = words;
            return this;
        }

        Packed ints(int count, IntUnaryOperator value) {
            int[] words = new int[count];
            java.util.Arrays.setAll(words, value);
            parts[next++] = words;
            return this;
        }
    }

    private DevicePattern(CudaMemory memory, BlockPattern p) {
        this.blockSize = p.blockSize();
        this.blocks = p.blocks();
        this.elements = p.elements();
        int most = 0;
        boolean anyLower = false;
        boolean multiples = true;
        for (int i = 0; i < p.blockRows(); i++) {
            most = Math.max(most, p.firstBlock(i + 1) - p.firstBlock(i));
            anyLower |= p.rowOffset(i + 1) - p.rowOffset(i) != blockSize;
            multiples &= p.rowOffset(i) % 8 == 0;
        }
        this.mostBlocks = most;
        this.ragged = anyLower;
        this.rowsAtMultiplesOf8 = multiples;
        this.wholeColumns = IntStream.range(0, p.blockColumns())
                .allMatch(j -> p.columnOffset(j + 1) - p.columnOffset(j) == blockSize);
        int[] counts = {p.blockRows(), p.blockColumns(), p.blocks()};
        int[][] parts = new Packed()
                .longs(p.blockRows() + 1, p::rowOffset)
                .longs(p.blockColumns() + 1, p::columnOffset)
                .longs(p.blocks() + 1, p::dataOffset)
                .ints(p.blockRows() + 1, p::firstBlock)
                .ints(p.blocks(), p::rowOf)
                .ints(p.blocks(), p::columnOf)
                .ints(p.blockColumns() + 1, p::firstTransposed)
                .ints(p.blocks(), p::transposedBlock)
                .ints(counts.length, i -> counts[i])
                .parts;
        int length = 0;
        for (int[] part : parts) {
            length = Math.addExact(length, Math.ceilDiv(part.length, 4) * 4);
        }
        int[] all = new int[length];
        this.scope = memory.open();
        long base = scope.take((long) length * Integer.BYTES).address();
        int start = 0;
        for (int i = 0; i < ARRAYS; i++) {
            addresses[i] = base + (long) start * Integer.BYTES;
            System.arraycopy(parts[i], 0, all, start, parts[i].length);
            start += Math.ceilDiv(parts[i].length, 4) * 4;
        }
        memory.upload(all, base);
    }

    /** B. */
    int blockSize() {
        return blockSize;
    }

    /** Number of blocks. */
    int blocks() {
        return blocks;
    }

    /** Stored elements. */
    long elements() {
        return elements;
    }

    /** Blocks of the block row that has the most. */
    int mostBlocks() {
        return mostBlocks;
    }

    /** Whether a block row is lower than B. */
    boolean isRagged() {
        return ragged;
    }

    /** Whether every block column is B wide. */
    boolean hasWholeColumns() {
        return wholeColumns;
    }

    /** Whether every block row begins at a multiple of 8. */
    boolean hasRowsAtMultiplesOf8() {
        return rowsAtMultiplesOf8;
    }

    /** Address of the first block of each block row. */
    long firstBlock() {
        return addresses[3];
    }

    /** Address of the block column of each block. */
    long columnOf() {
        return addresses[5];
    }

    /** Appends a pattern to a kernel's arguments; null pointers for none. */
    static void write(@Nullable DevicePattern pattern, KernelArguments words) {
        for (int i = 0; i < ARRAYS; i++) {
            words.word(pattern == null ? 0 : pattern.addresses[i]);
        }
        words.word(pattern == null ? 1 : pattern.blockSize);
    }

    @Override
    public void close() {
        scope.close();
    }

    /** The patterns used last. Not safe for several threads: a pattern may be freed as soon as the kernel that uses it is queued. */
    static final class Cache implements AutoCloseable {

        private static final int CAPACITY = 8;

        private final CudaMemory memory;
        private final Map<BlockPattern, DevicePattern> patterns = new LinkedHashMap<>(16, 0.75f, true);

        Cache(CudaMemory memory) {
            this.memory = memory;
        }

        /** The arrays of a pattern, copied if they are not there. */
        DevicePattern of(BlockPattern pattern) {
            DevicePattern found = patterns.get(pattern);
            if (found != null) {
                return found;
            }
            if (patterns.size() == CAPACITY) {
                BlockPattern oldest = patterns.keySet().iterator().next();
                DevicePattern removed = patterns.remove(oldest);
                if (removed != null) {
                    removed.close();
                }
            }
            DevicePattern made = new DevicePattern(memory, pattern);
            patterns.put(pattern, made);
            return made;
        }

        @Override
        public void close() {
            patterns.values().forEach(DevicePattern::close);
            patterns.clear();
        }
    }
}
