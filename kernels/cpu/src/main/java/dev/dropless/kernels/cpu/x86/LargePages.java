package dev.dropless.kernels.cpu.x86;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Memory for large operands. Linux only. */
public final class LargePages {

    /** Size of a huge page of x86-64, in bytes. */
    public static final long PAGE = 2L << 20;

    private LargePages() {}

    /**
     * Maps zero-filled memory and asks the system to back it with huge pages of 2 MiB, so that streaming through it does not wait for address translation.
     * The system is free not to.
     *
     * @param arena owner of the memory
     * @param bytes size, above 0
     * @return the memory, aligned to 2 MiB
     * @throws OutOfMemoryError if the system has not enough address space
     */
    public static MemorySegment allocate(Arena arena, long bytes) {
        long size = Math.addExact(Math.ceilDiv(bytes, PAGE) * PAGE, PAGE);
        long address = ForeignCall.of(() -> map(size));
        MemorySegment whole = MemorySegment.ofAddress(address).reinterpret(size, arena, mapped -> unmap(mapped, size));
        return whole.asSlice(Math.ceilDiv(address, PAGE) * PAGE - address, bytes);
    }

    private static long map(long size) throws Throwable {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(Libc.STATE);
            int protection = Libc.PROT_READ | Libc.PROT_WRITE;
            long address =
                    (long) Libc.MMAP.invokeExact(state, 0L, size, protection, Libc.MAP_PRIVATE_ANONYMOUS, -1, 0L);
            if (address == Libc.MAP_FAILED) {
                throw new OutOfMemoryError("%d bytes: %s".formatted(size, Libc.reason("mmap", state)));
            }
            int ignored = (int) Libc.MADVISE.invokeExact(state, address, size, Libc.MADV_HUGEPAGE); // only a wish
            return address;
        }
    }

    private static void unmap(MemorySegment mapped, long size) {
        int result = ForeignCall.of(() -> {
            try (Arena arena = Arena.ofConfined()) {
                return (int) Libc.MUNMAP.invokeExact(arena.allocate(Libc.STATE), mapped.address(), size);
            }
        });
        if (result != 0) {
            throw new IllegalStateException("munmap failed");
        }
    }
}
