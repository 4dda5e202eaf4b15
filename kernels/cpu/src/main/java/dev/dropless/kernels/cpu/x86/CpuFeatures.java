package dev.dropless.kernels.cpu.x86;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/**
 * Vector instruction sets that the processor has and the operating system saves, asked of the processor itself (Intel SDM volume 2, CPUID; volume 1,
 * section 14.3 for the XCR0 check).
 *
 * @param brand the processor's name for itself
 * @param avx2Fma AVX2, FMA and F16C with 256-bit state
 * @param avx512 AVX512F, BW, DQ and VL with 512-bit state
 * @param avx512Bf16 AVX512_BF16
 * @param avx512Vnni AVX512_VNNI
 */
public record CpuFeatures(String brand, boolean avx2Fma, boolean avx512, boolean avx512Bf16, boolean avx512Vnni) {

    private static final int XCR0_AVX = 0b110; // XMM and YMM state
    private static final int XCR0_AVX512 = 0b1110_0110; // and opmask, upper halves of ZMM0-15, ZMM16-31

    /** Results of one CPUID leaf. */
    private record Leaf(int eax, int ebx, int ecx, int edx) {}

    /**
     * Asks the processor.
     *
     * @return its features
     * @throws UnsupportedOperationException if this is no Linux on x86-64, or executable memory is refused
     */
    public static CpuFeatures detect() {
        String system = System.getProperty("os.name") + " on " + System.getProperty("os.arch");
        if (!system.equals("Linux on amd64")) {
            throw new UnsupportedOperationException("emitted code needs Linux on amd64, this is " + system);
        }
        Assembler assembler = new Assembler(Assembler.Width.YMM);
        int cpuid = emitCpuid(assembler);
        assembler.align(16);
        int xgetbv = emitXgetbv(assembler);
        try (ExecutableCode code = ExecutableCode.load(assembler.toByteArray());
                Arena arena = Arena.ofConfined()) {
            Linker linker = Linker.nativeLinker();
            MethodHandle leaf =
                    linker.downcallHandle(code.entry(cpuid), FunctionDescriptor.ofVoid(JAVA_INT, JAVA_INT, ADDRESS));
            MethodHandle xcr0 = linker.downcallHandle(code.entry(xgetbv), FunctionDescriptor.of(JAVA_INT, JAVA_INT));
            return ForeignCall.of(() -> read(leaf, xcr0, arena.allocate(16, 16)));
        }
    }

    private static CpuFeatures read(MethodHandle cpuid, MethodHandle xgetbv, MemorySegment out) throws Throwable {
        int maxLeaf = ask(cpuid, out, 0, 0).eax;
        Leaf one = ask(cpuid, out, 1, 0);
        boolean saved = bit(one.ecx, 27); // OSXSAVE: XGETBV may be used
        int xcr0 = saved ? (int) xgetbv.invokeExact(0) : 0;
        Leaf seven = maxLeaf >= 7 ? ask(cpuid, out, 7, 0) : new Leaf(0, 0, 0, 0);
        Leaf sevenOne = seven.eax >= 1 ? ask(cpuid, out, 7, 1) : new Leaf(0, 0, 0, 0);

        boolean ymm = (xcr0 & XCR0_AVX) == XCR0_AVX;
        boolean zmm = (xcr0 & XCR0_AVX512) == XCR0_AVX512;
        boolean avx2Fma = ymm && bit(one.ecx, 12) && bit(one.ecx, 29) && bit(seven.ebx, 5);
        boolean avx512 = zmm && bit(seven.ebx, 16) && bit(seven.ebx, 17) && bit(seven.ebx, 30) && bit(seven.ebx, 31);
        return new CpuFeatures(
                brand(cpuid, out), avx2Fma, avx512, avx512 && bit(sevenOne.eax, 5), avx512 && bit(seven.ecx, 11));
    }

    private static String brand(MethodHandle cpuid, MemorySegment out) throws Throwable {
        int first = 0x8000_0002;
        if (Integer.compareUnsigned(ask(cpuid, out, 0x8000_0000, 0).eax, first + 2) < 0) {
            return "unknown";
        }
        StringBuilder text = new StringBuilder();
        for (int leaf = first; leaf <= first + 2; leaf++) {
            Leaf part = ask(cpuid, out, leaf, 0);
            for (int word : new int[] {part.eax, part.ebx, part.ecx, part.edx}) {
                for (int shift = 0; shift < 32; shift += 8) {
                    char c = (char) (word >>> shift & 0x7F);
                    if (c != 0) {
                        text.append(c);
                    }
                }
            }
        }
        return text.toString().strip();
    }

    private static Leaf ask(MethodHandle cpuid, MemorySegment out, int leaf, int subLeaf) throws Throwable {
        cpuid.invokeExact(leaf, subLeaf, out);
        return new Leaf(out.get(JAVA_INT, 0), out.get(JAVA_INT, 4), out.get(JAVA_INT, 8), out.get(JAVA_INT, 12));
    }

    private static boolean bit(int word, int bit) {
        return (word >>> bit & 1) != 0;
    }

    /** void f(int leaf, int subLeaf, int[4] out); RBX belongs to the caller. */
    private static int emitCpuid(Assembler assembler) {
        int entry = assembler.position();
        assembler.push(Gpr.RBX);
        assembler.move(Gpr.RAX, Gpr.RDI);
        assembler.move(Gpr.RCX, Gpr.RSI);
        assembler.move(Gpr.R8, Gpr.RDX);
        assembler.cpuid();
        Gpr[] results = {Gpr.RAX, Gpr.RBX, Gpr.RCX, Gpr.RDX};
        for (int i = 0; i < results.length; i++) {
            assembler.store32(Address.at(Gpr.R8, 4 * i), results[i]);
        }
        assembler.pop(Gpr.RBX);
        assembler.ret();
        return entry;
    }

    /** int f(int register): the lower half of an extended control register; XCR0 is number 0. */
    private static int emitXgetbv(Assembler assembler) {
        int entry = assembler.position();
        assembler.move(Gpr.RCX, Gpr.RDI);
        assembler.xgetbv();
        assembler.ret();
        return entry;
    }
}
