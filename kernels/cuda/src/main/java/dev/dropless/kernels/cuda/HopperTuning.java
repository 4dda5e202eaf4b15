package dev.dropless.kernels.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Properties;
import java.util.SortedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** How Hopper kernels are launched, by operation and rows per expert: {@code hopper_tuning.properties}. Immutable. */
final class HopperTuning {

    /** Names a file that is read instead of the one that the jar carries, by back ends that are opened from now on. */
    static final String PROPERTY = "dropless.cuda.tuning";

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

        private final List<Variant> variants;

        Operation(Variant... variants) {
            this.variants = List.of(variants);
        }

        List<Variant> variants() {
            return variants;
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

        int mostBlocksOfACluster() {
            return decodeTokens() > 0 ? 1 : MOST_BLOCKS_OF_A_CLUSTER;
        }
    }

    /**
     * How one launch is made.
     *
     * @param variant the kernel
     * @param cluster blocks of a cluster: 1 or 2
     * @param group steps of row tiles that are taken column by column
     * @param shortBelow of a product that adds up less than this the short kernel is launched instead
     * @param waves how many clusters are launched, at most, for each that the device runs at once
     */
    record Choice(Variant variant, int cluster, int group, int shortBelow, int waves) {

        Choice(Variant variant, int cluster, int group) {
            this(variant, cluster, group, 0, 1);
        }

        /** As in the file. */
        String line() {
            String line =
                    "variant:%s cluster:%d group:%d".formatted(variant.name().toLowerCase(Locale.ROOT), cluster, group);
            return line + (shortBelow > 0 ? " short:" + shortBelow : "") + (waves > 1 ? " waves:" + waves : "");
        }

        /** What this does not say of short and waves is as in another. */
        private Choice or(Choice other) {
            int depth = shortBelow == 0 && variant == Variant.TILE ? other.shortBelow : shortBelow;
            return new Choice(variant, cluster, group, depth, waves == 1 ? other.waves : waves);
        }

        private Choice forDepth(long depth) {
            return depth < shortBelow ? new Choice(Variant.SHORT, cluster, group, 0, waves) : this;
        }
    }

    private final Map<Operation, NavigableMap<Long, Choice>> choices = new EnumMap<>(Operation.class);

    private HopperTuning(Map<Operation, NavigableMap<Long, Choice>> choices) {
        this.choices.putAll(choices);
    }

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

    /**
     * Reads a file, or for null the one that the jar carries.
     *
     * @throws IllegalArgumentException if it cannot be read, a line is not as its comment says, or one is missing
     */
    static HopperTuning load(@Nullable String file) {
        if (file == null) {
            return load();
        }
        try (InputStream in = Files.newInputStream(Path.of(file))) {
            return read(in);
        } catch (IOException e) {
            throw new IllegalArgumentException(
                    "%s: expected a file that can be read, found %s".formatted(PROPERTY, file), e);
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

    private NavigableMap<Long, Choice> of(Operation operation) {
        return choices.computeIfAbsent(operation, o -> new TreeMap<>());
    }

    private void add(String key, String line) {
        int dot = key.lastIndexOf('.');
        if (dot < 0) {
            throw new IllegalArgumentException("tuning: expected OPERATION.ROWS, found \"%s\"".formatted(key));
        }
        Operation operation = named(Operation.values(), key.substring(0, dot), key);
        long from = number(key.substring(dot + 1), 0, Integer.MAX_VALUE, key);
        of(operation).put(from, choice(operation, line, key));
    }

    private static Choice choice(Operation operation, String line, String key) {
        Map<String, String> fields = new HashMap<>();
        for (String field : line.strip().split("\\s+")) {
            String[] pair = field.split(":", 2);
            if (pair.length != 2 || fields.put(pair[0], pair[1]) != null) {
                throw bad(key, "NAME:VALUE once for each name", field);
            }
        }
        int shortBelow = optional(fields, "short", 0, Integer.MAX_VALUE, key);
        int waves = optional(fields, "waves", 1, MOST_WAVES, key);
        if (!fields.keySet().equals(java.util.Set.of("variant", "cluster", "group"))) {
            throw bad(key, "variant, cluster and group", line);
        }
        Variant variant = named(Variant.values(), fields.getOrDefault("variant", ""), key);
        if (!operation.variants.contains(variant)) {
            throw bad(key, "one of " + operation.variants, variant.name());
        }
        int cluster = (int) number(fields.getOrDefault("cluster", ""), 1, variant.mostBlocksOfACluster(), key);
        int group = (int) number(fields.getOrDefault("group", ""), 1, 1 << 20, key);
        if (shortBelow > 0 && (variant != Variant.TILE || !operation.variants.contains(Variant.SHORT))) {
            throw bad(key, "no short kernel beside variant " + variant.name().toLowerCase(Locale.ROOT), line);
        }
        return new Choice(variant, cluster, group, shortBelow, waves);
    }

    /** Takes a field out; where it is not there it is what it may be at least. */
    private static int optional(Map<String, String> fields, String name, int least, int most, String key) {
        String text = fields.getOrDefault(name, Integer.toString(least));
        fields.remove(name);
        return (int) number(text, least, most, key);
    }

    /**
     * The same with other lines for one operation.
     *
     * @param operation whose lines
     * @param lines by rows per expert from which on they hold, as in the file
     * @param alone whether they are all there are; otherwise those for fewer rows than the first are kept, and what they do not say of short and waves is as it was: rows and
     *     depths that were measured are seldom those where these matter
     * @throws IllegalArgumentException if a line is not understood, or they are alone and none is for no rows
     */
    HopperTuning with(Operation operation, SortedMap<Long, String> lines, boolean alone) {
        HopperTuning changed = new HopperTuning(choices);
        NavigableMap<Long, Choice> own = new TreeMap<>();
        if (!alone && !lines.isEmpty()) {
            own.putAll(of(operation).headMap(lines.firstKey(), false));
        }
        lines.forEach((from, line) -> {
            Choice choice = choice(operation, line, operation.key() + "." + from);
            own.put(
                    from,
                    alone ? choice : choice.or(of(operation).floorEntry(from).getValue()));
        });
        if (!own.containsKey(0L)) {
            throw new IllegalArgumentException("tuning: expected a line %s.0".formatted(operation.key()));
        }
        changed.choices.put(operation, own);
        return changed;
    }

    /** What a device has confirmed, as a file. */
    String file() {
        StringBuilder text = new StringBuilder(
                "# How the Hopper kernels are launched: OPERATION.FROM=variant:V cluster:C group:G, by rows per expert, as measured on a device.\n");
        text.append(MEASURED).append("=yes\n");
        choices.forEach((operation, lines) -> lines.forEach(
                (from, choice) -> text.append("%s.%d=%s%n".formatted(operation.key(), from, choice.line()))));
        return text.toString();
    }

    private static IllegalArgumentException bad(String key, String expected, String found) {
        return new IllegalArgumentException("tuning of %s: expected %s, found \"%s\"".formatted(key, expected, found));
    }

    static <T extends Enum<T>> T named(T[] values, String name, String key) {
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
        return of(operation)
                .floorEntry(Math.ceilDiv(rows, Math.max(1, experts)))
                .getValue()
                .forDepth(depth);
    }
}
