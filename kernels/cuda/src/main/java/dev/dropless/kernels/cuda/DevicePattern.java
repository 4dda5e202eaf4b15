package dev.dropless.kernels.cuda;

import dev.dropless.topology.BlockPattern;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.IntToLongFunction;
import java.util.function.IntUnaryOperator;
import org.jspecify.annotations.Nullable;

/** The index arrays of a block pattern on the device, in one allocation. */
final class DevicePattern implements AutoCloseable {

    private static final int ARRAYS = 9;

    private final CudaMemory.DeviceScope scope;
    private final long[] addresses = new long[ARRAYS];
    private final int blockSize;

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
