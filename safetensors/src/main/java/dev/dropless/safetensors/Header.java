package dev.dropless.safetensors;

import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The checked header of one file: what it says of each tensor, and that the tensors tile the data exactly. */
final class Header {

    static final String METADATA_KEY = "__metadata__";

    /** Most bytes a header may have; the limit of the reference implementation. */
    static final int MAX_BYTES = 100_000_000;

    /** Where a tensor lies: bytes {@code begin} (inclusive) to {@code end} (exclusive), counted from the header's end. */
    static final class Entry {
        final String name;
        final TensorType type;
        final long[] shape;
        final long begin;
        final long end;

        Entry(String name, TensorType type, long[] shape, long begin, long end) {
            this.name = name;
            this.type = type;
            this.shape = shape;
            this.begin = begin;
            this.end = end;
        }

        /** Returns this tensor as it stands in a header. */
        Map<String, Object> toJson() {
            Map<String, Object> json = new LinkedHashMap<>();
            json.put("dtype", type.name());
            json.put("shape", Arrays.stream(shape).boxed().toList());
            json.put("data_offsets", List.of(begin, end));
            return json;
        }

        private String offsets() {
            return "tensor " + Text.quote(name) + ": data_offsets [" + begin + ", " + end + "]";
        }
    }

    private final Map<String, String> metadata;
    private final Map<String, Entry> entries;

    Header(Map<String, String> metadata, Map<String, Entry> entries) {
        this.metadata = Collections.unmodifiableMap(metadata);
        this.entries = Collections.unmodifiableMap(entries);
    }

    Map<String, String> metadata() {
        return metadata;
    }

    Map<String, Entry> entries() {
        return entries;
    }

    /** Checks sizes and offsets: every tensor of its size and inside the data, no overlap, no hole, nothing left over. */
    void checkLayout(String source, long dataLength) throws SafetensorsException {
        for (Entry entry : entries.values()) {
            checkEntry(source, entry, dataLength);
        }
        Entry[] byOffset = entries.values().toArray(new Entry[0]);
        Arrays.sort(byOffset, Comparator.comparingLong((Entry e) -> e.begin).thenComparingLong(e -> e.end));
        long covered = 0;
        for (Entry entry : byOffset) {
            if (entry.begin != covered) {
                throw new SafetensorsException(
                        source,
                        entry.offsets() + (entry.begin < covered ? " overlap another tensor" : " leave a hole")
                                + ", expected them to begin at " + covered);
            }
            covered = entry.end;
        }
        if (covered != dataLength) {
            throw new SafetensorsException(
                    source, "expected " + covered + " bytes of tensor data, found " + dataLength + " after the header");
        }
    }

    private static void checkEntry(String source, Entry entry, long dataLength) throws SafetensorsException {
        if (entry.begin > entry.end) {
            throw new SafetensorsException(source, entry.offsets() + " are reversed");
        }
        long expected;
        try {
            expected = entry.type.byteSize(entry.shape);
        } catch (IllegalArgumentException e) {
            throw new SafetensorsException(source, "tensor " + Text.quote(entry.name) + ": " + e.getMessage(), e);
        }
        if (entry.end - entry.begin != expected) {
            throw new SafetensorsException(
                    source,
                    entry.offsets() + " hold " + (entry.end - entry.begin) + " bytes, expected " + expected + " for "
                            + entry.type + Arrays.toString(entry.shape));
        }
        if (entry.end > dataLength) {
            throw new SafetensorsException(
                    source,
                    entry.offsets() + " reach beyond the file, expected at most " + dataLength
                            + " bytes of data; is it truncated?");
        }
    }
}
