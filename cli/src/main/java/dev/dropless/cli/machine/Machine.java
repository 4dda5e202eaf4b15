package dev.dropless.cli.machine;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Names of the machine's parts.
 *
 * @param jdk version and vendor of the running JVM
 * @param os operating system and architecture
 * @param cpu model of the processor, as the system names it
 * @param features instruction sets that matter to matrix products
 * @param processors processors this program may use
 */
public record Machine(String jdk, String os, String cpu, List<String> features, int processors) {

    private static final Path CPUINFO = Path.of("/proc/cpuinfo");

    private static final List<String> INTERESTING = List.of(
            "sse4_2",
            "avx",
            "f16c",
            "fma",
            "avx2",
            "avx_vnni",
            "avx512f",
            "avx512bw",
            "avx512vl",
            "avx512_vnni",
            "avx512_bf16",
            "avx512_fp16",
            "amx_tile",
            "amx_bf16",
            "amx_int8",
            "asimd",
            "asimdhp",
            "bf16",
            "i8mm",
            "sve",
            "sve2");

    /** Copies the features. */
    public Machine {
        features = List.copyOf(features);
    }

    /**
     * Reads the names of this machine.
     *
     * @return what could be found out
     */
    public static Machine current() {
        Map<String, String> info = cpuinfo();
        Set<String> flags = new LinkedHashSet<>(Arrays.asList(
                info.getOrDefault("flags", info.getOrDefault("Features", "")).split(" ", -1)));
        return new Machine(
                "%s (%s)".formatted(Runtime.version(), System.getProperty("java.vm.name")),
                "%s %s, %s"
                        .formatted(
                                System.getProperty("os.name"),
                                System.getProperty("os.version"),
                                System.getProperty("os.arch")),
                info.getOrDefault("model name", "unknown"),
                INTERESTING.stream().filter(flags::contains).toList(),
                Runtime.getRuntime().availableProcessors());
    }

    /** The first processor's entries; empty where the system has no such file. */
    private static Map<String, String> cpuinfo() {
        if (!Files.isReadable(CPUINFO)) {
            return Map.of();
        }
        try {
            Map<String, String> entries = new LinkedHashMap<>();
            for (String line : Files.readAllLines(CPUINFO)) {
                int colon = line.indexOf(':');
                if (colon > 0) {
                    entries.putIfAbsent(
                            line.substring(0, colon).strip(),
                            line.substring(colon + 1).strip());
                }
            }
            return entries;
        } catch (IOException e) {
            return Map.of();
        }
    }

    /**
     * Describes the machine in one line.
     *
     * @return processor, count, system and JDK
     */
    public String oneLine() {
        return "%s, %d processors, %s, JDK %s".formatted(cpu, processors, os, jdk);
    }

    /**
     * Lists the features.
     *
     * @return names separated by spaces
     */
    public String featureList() {
        return features.isEmpty() ? "none known" : features.stream().collect(Collectors.joining(" "));
    }
}
