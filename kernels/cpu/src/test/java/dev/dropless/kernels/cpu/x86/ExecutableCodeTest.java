package dev.dropless.kernels.cpu.x86;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

@EnabledOnOs(value = OS.LINUX, architectures = "amd64")
class ExecutableCodeTest {

    @Test
    void runsWhatWasEmitted() throws Throwable {
        Assembler assembler = new Assembler(Assembler.Width.YMM);
        assembler.ret();
        assembler.align(16);
        int entry = assembler.position();
        assembler.move(Gpr.RAX, Gpr.RDI);
        assembler.add(Gpr.RAX, Gpr.RSI);
        assembler.add(Gpr.RAX, 1000);
        assembler.ret();
        try (ExecutableCode code = ExecutableCode.load(assembler.toByteArray())) {
            var sum = Linker.nativeLinker()
                    .downcallHandle(
                            code.entry(entry),
                            FunctionDescriptor.of(ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG));
            assertEquals(1042L, (long) sum.invokeExact(40L, 2L));
        }
    }

    @Test
    void pagesAreExecutableAndNotWritable() throws IOException {
        try (ExecutableCode code = ExecutableCode.load(new byte[] {(byte) 0xC3})) {
            String address = Long.toHexString(code.entry(0).address());
            String mapping = Files.readAllLines(Path.of("/proc/self/maps")).stream()
                    .filter(line -> contains(line, code.entry(0).address()))
                    .findFirst()
                    .orElseThrow(() -> new AssertionError("no mapping holds " + address));
            assertTrue(mapping.contains(" r-xp "), mapping);
        }
    }

    @Test
    void largePagesAreAlignedZeroAndGivenBack() throws IOException {
        MemorySegment memory;
        try (Arena arena = Arena.ofShared()) {
            memory = LargePages.allocate(arena, 3 * LargePages.PAGE + 5);
            assertEquals(0, memory.address() % LargePages.PAGE);
            assertEquals(3 * LargePages.PAGE + 5, memory.byteSize());
            assertEquals(-1, memory.mismatch(MemorySegment.ofArray(new byte[(int) memory.byteSize()])));
            memory.fill((byte) 1);
            assertTrue(isMapped(memory.address()));
        }
        assertFalse(isMapped(memory.address()));
    }

    private static boolean isMapped(long address) throws IOException {
        return Files.readAllLines(Path.of("/proc/self/maps")).stream().anyMatch(line -> contains(line, address));
    }

    private static boolean contains(String mapping, long address) {
        String[] range = mapping.substring(0, mapping.indexOf(' ')).split("-");
        return Long.compareUnsigned(Long.parseUnsignedLong(range[0], 16), address) <= 0
                && Long.compareUnsigned(address, Long.parseUnsignedLong(range[1], 16)) < 0;
    }

    @Test
    void closedCodeHasNoEntries() {
        ExecutableCode code = ExecutableCode.load(new byte[] {(byte) 0xC3});
        assertThrows(IllegalArgumentException.class, () -> code.entry(1));
        code.close();
        code.close();
        assertThrows(IllegalStateException.class, () -> code.entry(0));
    }

    @Test
    void featuresAgreeWithTheKernel() throws IOException {
        CpuFeatures features = CpuFeatures.detect();
        List<String> lines = Files.readAllLines(Path.of("/proc/cpuinfo"));
        List<String> flags = Arrays.asList(lines.stream()
                .filter(line -> line.startsWith("flags"))
                .findFirst()
                .orElseThrow()
                .split("\\s+"));
        assertEquals(flags.contains("avx2") && flags.contains("fma"), features.avx2Fma());
        assertEquals(flags.containsAll(List.of("avx512f", "avx512bw", "avx512dq", "avx512vl")), features.avx512());
        assertEquals(flags.contains("avx512_bf16"), features.avx512Bf16());
        assertEquals(flags.contains("avx512_vnni"), features.avx512Vnni());
        assertFalse(features.brand().isBlank());
    }
}
