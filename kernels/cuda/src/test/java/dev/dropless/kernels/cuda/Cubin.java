package dev.dropless.kernels.cuda;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * Operations of the kernels of a cubin, without a disassembler: a cubin is a 64-bit ELF file, section {@code .text.NAME} holds the
 * instructions of a kernel, 16 bytes each since sm_70, the low 12 bits of which are the operation.
 */
record Cubin(Map<String, List<Integer>> operations) {

    /** Matrix product of a warp (mma.sync). */
    static final int HMMA = 0x23c;
    /** Load of matrices (ldmatrix). */
    static final int LDSM = 0x83b;
    /** Asynchronous copy to shared memory (cp.async). */
    static final int LDGSTS = 0xfae;
    /** Matrix product of a warpgroup (wgmma). */
    static final int HGMMA = 0x9f0;
    /** Copy of a box from global memory by the tensor memory accelerator. */
    static final int UTMALDG = 0x5b4;
    /** The same, to several blocks of a cluster. */
    static final int UTMALDG_MULTICAST = 0x3b4;
    /** Copy of a box to global memory by the tensor memory accelerator. */
    static final int UTMASTG = 0x3b5;
    /** Store of matrices (stmatrix). */
    static final int STSM = 0x844;
    /** Invalidation of the first-level cache. */
    static final int CCTL = 0x98f;
    /** Waits for earlier launches (griddepcontrol.wait). */
    static final int ACQBULK = 0x82e;
    /** Lets later launches start (griddepcontrol.launch_dependents). */
    static final int PREEXIT = 0x82d;
    /** What reads or writes global memory: loads and stores of threads, asynchronous copies, boxes. */
    static final Set<Integer> GLOBAL = Set.of(0x981, 0x986, LDGSTS, UTMALDG, UTMALDG_MULTICAST, UTMASTG);
    /** Fused multiply-add in fp32. */
    static final int FFMA = 0x223;
    /** Load from local memory: a spill, or an array that is not in registers. */
    static final int LDL = 0x983;
    /** Store to local memory. */
    static final int STL = 0x387;
    /** Atomic operations on global memory, with and without a result, of integers and floats, compare-and-swap. */
    static final Set<Integer> ATOMICS = Set.of(0x3a8, 0x3a9, 0x98e, 0x9a6, 0x9a8);

    private static final int INSTRUCTION_BYTES = 16;
    private static final String CODE = ".text.";

    static Cubin parse(byte[] file) {
        ByteBuffer elf = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
        if (elf.getInt(0) != 0x464c457f) {
            throw new IllegalArgumentException("file: expected an ELF file");
        }
        int sections = (int) elf.getLong(0x28);
        int sectionBytes = elf.getShort(0x3a);
        int names = (int) elf.getLong(sections + elf.getShort(0x3e) * sectionBytes + 0x18);
        Map<String, List<Integer>> operations = new TreeMap<>();
        for (int i = 0; i < elf.getShort(0x3c); i++) {
            int header = sections + i * sectionBytes;
            String name = string(file, names + elf.getInt(header));
            if (name.startsWith(CODE)) {
                int from = (int) elf.getLong(header + 0x18);
                operations.put(name.substring(CODE.length()), decode(elf, from, (int) elf.getLong(header + 0x20)));
            }
        }
        return new Cubin(operations);
    }

    private static List<Integer> decode(ByteBuffer elf, int from, int bytes) {
        List<Integer> operations = new ArrayList<>(bytes / INSTRUCTION_BYTES);
        for (int at = from; at < from + bytes; at += INSTRUCTION_BYTES) {
            operations.add((int) (elf.getLong(at) & 0xfff));
        }
        return operations;
    }

    private static String string(byte[] file, int from) {
        int end = from;
        while (file[end] != 0) {
            end++;
        }
        return new String(file, from, end - from, StandardCharsets.US_ASCII);
    }

    int count(String kernel, int operation) {
        return Collections.frequency(operations.get(kernel), operation);
    }

    int instructions(String kernel) {
        return operations.get(kernel).size();
    }

    /** Whether an operation stands before all of others, in the order of the code. */
    boolean isBefore(String kernel, int operation, Set<Integer> others) {
        List<Integer> all = operations.get(kernel);
        return all.subList(0, all.indexOf(operation)).stream().noneMatch(others::contains);
    }
}
