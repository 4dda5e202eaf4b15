package dev.dropless.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Backends;
import dev.dropless.blocksparse.spi.Kernels;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

class CpuTierTest {

    /** The test runs with native access, so where the processor has AVX2 the emitted tier must be there, with the widest vectors. */
    @Test
    @EnabledOnOs(value = OS.LINUX, architectures = "amd64")
    void takesTheBestTierOfTheProcessor() throws IOException {
        List<String> flags = List.of(Files.readString(Path.of("/proc/cpuinfo")).split("\\s+"));
        boolean avx2 = flags.contains("avx2") && flags.contains("fma");
        CpuTier expected = avx2 ? CpuTier.EMITTED : CpuTier.VECTOR;
        assertEquals(expected, CpuTier.best());
        TileKernels kernels = CpuTier.select(null);
        assertEquals(expected, kernels.tier());
        if (avx2) {
            boolean avx512 = flags.containsAll(List.of("avx512f", "avx512bw", "avx512dq", "avx512vl"));
            assertTrue(kernels.description().startsWith(avx512 ? "emitted AVX-512" : "emitted AVX2"));
        }
    }

    /** The test runs with the incubator module and the optimising compiler. */
    @Test
    void vectorTierIsThere() {
        assertNull(CpuTier.VECTOR.disqualifier());
    }

    /** What a process without native access prints: our advice, and no warning of the JVM about restricted methods. */
    @Test
    @EnabledOnOs(value = OS.LINUX, architectures = "amd64")
    void withoutNativeAccess() throws IOException {
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--add-modules",
                        "jdk.incubator.vector",
                        "-cp",
                        System.getProperty("java.class.path"),
                        PrintTier.class.getName())
                .redirectErrorStream(true)
                .start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertTrue(output.contains("tier VECTOR"), output);
        assertTrue(output.contains("--enable-native-access=ALL-UNNAMED"), output);
        assertFalse(output.contains("restricted"), output);
    }

    /** Main class of another process. */
    static final class PrintTier {
        public static void main(String[] args) {
            System.out.println("tier " + CpuTier.select(null).tier());
        }
    }

    @Test
    void forced() {
        assertEquals(CpuTier.SCALAR, CpuTier.select("scalar").tier());
        assertEquals(CpuTier.VECTOR, CpuTier.select("vector").tier());
        String message = assertThrows(IllegalArgumentException.class, () -> CpuTier.select("Vector"))
                .getMessage();
        assertEquals("dropless.cpu.tier: expected one of emitted, vector, scalar, found \"Vector\"", message);
    }

    @Test
    void backendIsFoundAndDescribed() {
        assertInstanceOf(CpuBackend.class, Backends.byName("cpu"));
        assertTrue(new CpuBackend().availability().isAvailable());
        try (Kernels kernels = new CpuBackend().open(BackendOptions.threads(2))) {
            assertEquals(CpuTier.select(null).description() + ", 2 threads", kernels.description());
            assertEquals(2, kernels.tasks().parallelism());
        }
    }
}
