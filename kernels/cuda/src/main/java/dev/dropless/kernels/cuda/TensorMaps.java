package dev.dropless.kernels.cuda;

import static dev.dropless.kernels.cuda.KernelArguments.addressOf;

import dev.dropless.blocksparse.Matrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.LongConsumer;
import org.jspecify.annotations.Nullable;

/**
 * Tensor maps in device memory, made there by a kernel. Those of one launch are made and kept together, in one of a fixed number of places; the ones that were not used for the longest time make room, and
 * as a map is written in stream order, launches queued before still find the old one. What a graph records has maps of its own, made once when the recording has ended: others may be gone when it runs.
 */
final class TensorMaps implements AutoCloseable {

    /** Maps of one launch, at most. */
    static final int MOST = 4;

    /** Sets of maps that are kept: 512 bytes each. */
    static final int SETS = 512;

    private static final int MAP_BYTES = DriverExtras.TENSOR_MAP_BYTES;
    private static final int SET_BYTES = MOST * MAP_BYTES;

    /** How many maps the kernel has room for. */
    private static final int FIELDS = 8;

    private static final int FIELD_WORDS = 7;

    /** CUtensorMapDataType. */
    private static final int FLOAT16 = 6;

    private static final int BFLOAT16 = 9;

    /** CUtensorMapSwizzle. */
    private static final int SWIZZLE_128_BYTES = 3;

    /** Columns of every box: 128 bytes. */
    static final int BOX_COLUMNS = 64;

    /**
     * What a map describes.
     *
     * @param address of the first element
     * @param type code of the elements' type
     * @param columns of the matrix
     * @param rows of the matrix
     * @param rowBytes from row to row
     * @param boxRows rows of a box
     */
    record Fields(long address, long type, long columns, long rows, long rowBytes, int boxRows) {

        static Fields of(Matrix matrix, int boxRows) {
            return new Fields(
                    addressOf(matrix),
                    KernelArguments.code(matrix.type()),
                    matrix.columns(),
                    matrix.rows(),
                    matrix.rowStride() * matrix.type().bytes(),
                    boxRows);
        }

        private void write(KernelArguments words) {
            words.word(address)
                    .word(type)
                    .word(columns)
                    .word(rows)
                    .word(rowBytes)
                    .word(BOX_COLUMNS)
                    .word(boxRows);
        }
    }

    private final CudaMemory memory;
    private final DeviceStream stream;
    private final Launcher launcher;
    private final int sets;
    private final Map<List<Fields>, Integer> places = new LinkedHashMap<>(16, 0.75f, true);
    private CudaMemory.@Nullable DeviceScope scope;
    private @Nullable Recorded recorded;
    private long base;
    private long made;

    TensorMaps(CudaMemory memory, DeviceStream stream, Launcher launcher, int sets) {
        this.memory = memory;
        this.stream = stream;
        this.launcher = launcher;
        this.sets = sets;
    }

    /** Address of a map of a set. */
    static long map(long set, int index) {
        return set + (long) index * MAP_BYTES;
    }

    /**
     * Queues a launch that uses maps. No other launch comes between the maps and it.
     *
     * @param fields what the maps describe, at most {@link #MOST}
     * @param launch queues it, given the address of the first map; the others follow
     */
    synchronized void with(List<Fields> fields, LongConsumer launch) {
        if (stream.isCapturing()) {
            record(fields, launch);
            return;
        }
        Integer place = places.get(fields);
        if (place == null) {
            place = freePlace();
            make(base + (long) place * SET_BYTES, fields);
            places.put(fields, place);
        }
        launch.accept(base + (long) place * SET_BYTES);
    }

    /** Where a graph has no places left for maps, it makes them again each time. */
    private void record(List<Fields> fields, LongConsumer launch) {
        Recorded own = recorded;
        if (own != null && own.hasPlace(fields)) {
            launch.accept(own.place(fields));
            return;
        }
        try (CudaMemory.DeviceScope scratch = memory.open()) {
            long set = scratch.take(SET_BYTES).address();
            make(set, fields);
            launch.accept(set);
        }
    }

    /**
     * Takes memory for the maps of a recording that begins now.
     *
     * @return the maps; {@link Recorded#make} ends the recording, and who has the graph closes them after it
     */
    synchronized Recorded beginRecording() {
        recorded = new Recorded(memory.open());
        return recorded;
    }

    /** Maps of one recording. */
    final class Recorded implements AutoCloseable {
        private final CudaMemory.DeviceScope own;
        private final long first;
        private final Map<List<Fields>, Long> used = new LinkedHashMap<>();

        private Recorded(CudaMemory.DeviceScope own) {
            this.own = own;
            this.first = own.take((long) sets * SET_BYTES).address();
        }

        private boolean hasPlace(List<Fields> fields) {
            return used.size() < sets || used.containsKey(fields);
        }

        private long place(List<Fields> fields) {
            return used.computeIfAbsent(fields, f -> first + (long) used.size() * SET_BYTES);
        }

        /** Queues the kernels that make them, when the recording has ended. */
        void make() {
            synchronized (TensorMaps.this) {
                recorded = null;
                used.forEach((fields, set) -> TensorMaps.this.make(set, fields));
            }
        }

        /** Frees them, and ends the recording if that failed. */
        @Override
        public void close() {
            synchronized (TensorMaps.this) {
                recorded = recorded == this ? null : recorded;
            }
            own.close();
        }
    }

    /** A place whose maps are no longer known. */
    private int freePlace() {
        if (scope == null) {
            CudaMemory.DeviceScope opened = memory.open();
            base = opened.take((long) sets * SET_BYTES).address();
            scope = opened;
        }
        if (places.size() < sets) {
            // Places are taken in order; one whose maps could not be made is taken again.
            java.util.BitSet taken = new java.util.BitSet(sets);
            places.values().forEach(taken::set);
            return taken.nextClearBit(0);
        }
        Map.Entry<List<Fields>, Integer> oldest = places.entrySet().iterator().next();
        int place = oldest.getValue();
        places.remove(oldest.getKey());
        return place;
    }

    private void make(long set, List<Fields> fields) {
        made++;
        launcher.exact("tensor_maps", fields.size(), 0, words -> {
            words.word(set).word(fields.size());
            fields.forEach(f -> f.write(words));
            for (int i = fields.size() * FIELD_WORDS; i < FIELDS * FIELD_WORDS; i++) {
                words.word(0);
            }
        });
    }

    /**
     * Compares maps that the kernel makes with what the driver encodes, byte by byte; waits for the device.
     *
     * @return "equal", or for the first map that is not which of its 64-bit words differ
     */
    String compareWithDriver(DriverExtras driver) {
        try (CudaMemory.DeviceScope scratch = memory.open();
                Arena arena = Arena.ofConfined()) {
            long address = scratch.take(SET_BYTES).address();
            long set = scratch.take(SET_BYTES).address();
            List<Fields> examples = List.of(
                    new Fields(address, 1, 64, 128, 128, 128),
                    new Fields(address, 1, 7168, 4096, 7168 * 2, 64),
                    new Fields(address + 16, 2, 72, 5, 256, 128),
                    new Fields(address, 2, 8, 1, 16, 64));
            make(set, examples);
            int[] found = memory.download(set, examples.size() * MAP_BYTES / Integer.BYTES);
            MemorySegment own = MemorySegment.ofArray(found);
            for (int i = 0; i < examples.size(); i++) {
                Fields f = examples.get(i);
                MemorySegment expected = arena.allocate(MAP_BYTES, MAP_BYTES);
                driver.encodeTensorMap(
                        expected,
                        f.type == 1 ? BFLOAT16 : FLOAT16,
                        f.address,
                        new long[] {f.columns, f.rows},
                        new long[] {f.rowBytes},
                        new int[] {BOX_COLUMNS, f.boxRows},
                        SWIZZLE_128_BYTES,
                        0);
                String differences = differences(own.asSlice((long) i * MAP_BYTES, MAP_BYTES), expected);
                if (!differences.isEmpty()) {
                    return "%s: %s".formatted(f, differences);
                }
            }
            return "equal";
        }
    }

    private static String differences(MemorySegment found, MemorySegment expected) {
        List<String> words = new ArrayList<>();
        for (int i = 0; i < MAP_BYTES / Long.BYTES; i++) {
            long at = (long) i * Long.BYTES;
            long device = found.get(ValueLayout.JAVA_LONG_UNALIGNED, at);
            long driver = expected.get(ValueLayout.JAVA_LONG_UNALIGNED, at);
            if (device != driver) {
                words.add("word %d is %016x, the driver's %016x".formatted(i, device, driver));
            }
        }
        return String.join("; ", words);
    }

    /** How often maps were made. */
    synchronized long made() {
        return made;
    }

    /** Frees them. */
    @Override
    public synchronized void close() {
        places.clear();
        if (scope != null) {
            scope.close();
            scope = null;
        }
    }
}
