package dev.dropless.kernels.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Properties;
import java.util.TreeMap;

/** How Hopper kernels are launched, by operation and rows per expert: {@code hopper_tuning.properties}. Immutable. */
final class HopperTuning {

    private static final String NAME = "hopper_tuning.properties";

    /** Whether a device has confirmed the numbers. */
    private static final String MEASURED = "measured";

    private static final int MOST_BLOCKS_OF_A_CLUSTER = 2;

    private static final int MOST_WAVES = 64;

    /** What is launched. */
    enum Operation {
        UP(Variant.TILE, Variant.DECODE16, Variant.DECODE64),
        DOWN(Variant.TILE, Variant.SHORT, Variant.DECODE16, Variant.DECODE64),
        DOWN_DGRAD(Variant.TILE),
        UP_DGRAD(Variant.TILE, Variant.SHORT),
        UP_WGRAD(Variant.TILE, Variant.SHORT),
        DOWN_WGRAD(Variant.TILE, Variant.SHORT),
        MATMUL_NT(Variant.TILE),
        BLOCKS(Variant.TILE);

        private final java.util.Set<Variant> variants;

        Operation(Variant... variants) {
            this.variants = java.util.Set.of(variants);
        }

        String key() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** Which kernel of an operation. */
    enum Variant {
        TILE,
        SHORT,
        DECODE16,
        DECODE64;

        /** Tokens of the narrow operand, as in the kernels' names; 0 for others. */
        int decodeTokens() {
            return switch (this) {
                case DECODE16 -> 16;
                case DECODE64 -> 64;
                case TILE, SHORT -> 0;
            };
        }
    }

    /**
     * How one launch is made.
     *
     * @param variant the kernel
     * @param cluster blocks of a cluster: 1 or 2
     * @param group steps of row tiles that are taken column by column
     * @param waves how many clusters are launched, at most, for each that the device runs at once
     */
    record Choice(Variant variant, int cluster, int group, int waves) {

        Choice(Variant variant, int cluster, int group) {
            this(variant, cluster, group, 1);
        }
    }

    /**
     * What one line says.
     *
     * @param choice for most products
     * @param shortBelow of a product that sums less than this the short kernel is launched
     */
    private record Line(Choice choice, long shortBelow) {}

    private final Map<Operation, NavigableMap<Long, Line>> lines = new EnumMap<>(Operation.class);

    private HopperTuning(Properties entries) {
        for (String key : entries.stringPropertyNames()) {
            if (!key.equals(MEASURED)) {
                add(key, entries.getProperty(key));
            }
        }
        for (Operation operation : Operation.values()) {
            if (!of(operation).containsKey(0L)) {
                throw new IllegalArgumentException("tuning: expected a line %s.0".formatted(operation.key()));
            }
        }
    }

    /** Reads the one that the jar carries. */
    static HopperTuning load() {
        try (InputStream in = HopperTuning.class.getResourceAsStream(NAME)) {
            if (in == null) {
                throw new IOException("resource dev/dropless/kernels/cuda/%s is missing".formatted(NAME));
            }
            return read(in);
        } catch (IOException e) {
            throw new UncheckedIOException("launches of the Hopper kernels", e);
        }
    }

    /**
     * Reads one.
     *
     * @throws IllegalArgumentException if a line is not as its comment says, or one is missing
     */
    static HopperTuning read(InputStream in) throws IOException {
        Properties entries = new Properties();
        entries.load(in);
        return new HopperTuning(entries);
    }

    private NavigableMap<Long, Line> of(Operation operation) {
        return lines.computeIfAbsent(operation, o -> new TreeMap<>());
    }

    private void add(String key, String line) {
        int dot = key.lastIndexOf('.');
        if (dot < 0) {
            throw new IllegalArgumentException("tuning: expected OPERATION.ROWS, found \"%s\"".formatted(key));
        }
        Operation operation = named(Operation.values(), key.substring(0, dot), key);
        long from = number(key.substring(dot + 1), 0, Integer.MAX_VALUE, key);
        Map<String, String> fields = new HashMap<>();
        for (String field : line.strip().split("\\s+")) {
            String[] pair = field.split(":", 2);
            if (pair.length != 2 || fields.put(pair[0], pair[1]) != null) {
                throw bad(key, "NAME:VALUE once for each name", field);
            }
        }
        String shortBelow = fields.remove("short");
        int waves = (int) number(fields.getOrDefault("waves", "1"), 1, MOST_WAVES, key);
        fields.remove("waves");
        if (!fields.keySet().equals(java.util.Set.of("variant", "cluster", "group"))) {
            throw bad(key, "variant, cluster and group", line);
        }
        Variant variant = named(Variant.values(), fields.getOrDefault("variant", ""), key);
        if (!operation.variants.contains(variant)) {
            throw bad(key, "one of " + operation.variants, variant.name());
        }
        boolean decodes = variant.decodeTokens() > 0;
        int most = decodes ? 1 : MOST_BLOCKS_OF_A_CLUSTER;
        int cluster = (int) number(fields.getOrDefault("cluster", ""), 1, most, key);
        int group = (int) number(fields.getOrDefault("group", ""), 1, 1 << 20, key);
        if (shortBelow != null && (variant != Variant.TILE || !operation.variants.contains(Variant.SHORT))) {
            throw bad(key, "no short kernel beside variant " + variant.name().toLowerCase(Locale.ROOT), line);
        }
        long depth = shortBelow == null ? 0 : number(shortBelow, 1, Integer.MAX_VALUE, key);
        of(operation).put(from, new Line(new Choice(variant, cluster, group, waves), depth));
    }

    private static IllegalArgumentException bad(String key, String expected, String found) {
        return new IllegalArgumentException("tuning of %s: expected %s, found \"%s\"".formatted(key, expected, found));
    }

    private static <T extends Enum<T>> T named(T[] values, String name, String key) {
        for (T value : values) {
            if (value.name().toLowerCase(Locale.ROOT).equals(name)) {
                return value;
            }
        }
        throw bad(key, "one of " + java.util.Arrays.toString(values).toLowerCase(Locale.ROOT), name);
    }

    private static long number(String text, int least, int most, String key) {
        try {
            long value = Long.parseLong(text);
            if (value >= least && value <= most) {
                return value;
            }
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException("tuning of %s: expected a number, found \"%s\"".formatted(key, text), e);
        }
        throw bad(key, "a number %d..%d".formatted(least, most), text);
    }

    /**
     * Chooses a launch.
     *
     * @param operation what is launched
     * @param rows of all experts together, or a bound
     * @param experts how many there are
     */
    Choice choose(Operation operation, long rows, long experts) {
        return choose(operation, rows, experts, Long.MAX_VALUE);
    }

    /**
     * Chooses a launch.
     *
     * @param operation what is launched
     * @param rows of all experts together, or a bound
     * @param experts how many there are
     * @param depth how many products each sum has
     */
    Choice choose(Operation operation, long rows, long experts, long depth) {
        Line line = of(operation)
                .floorEntry(Math.ceilDiv(rows, Math.max(1, experts)))
                .getValue();
        Choice choice = line.choice();
        return depth < line.shortBelow()
                ? new Choice(Variant.SHORT, choice.cluster(), choice.group(), choice.waves())
                : choice;
    }
}
