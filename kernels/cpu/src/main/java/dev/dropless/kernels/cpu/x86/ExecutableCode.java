package dev.dropless.kernels.cpu.x86;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Machine code in memory: written while the pages are writable, then made executable and no longer writable. The two rights never hold together.
 *
 * <p>Needs native access ({@code --enable-native-access}). Systems that forbid new executable pages (SELinux execmem, some hardened containers)
 * refuse in {@link #load}, with the reason.
 */
public final class ExecutableCode implements AutoCloseable {

    private final long address;
    private final long bytes;
    private boolean open = true;

    private ExecutableCode(long address, long bytes) {
        this.address = address;
        this.bytes = bytes;
    }

    /**
     * Puts code into executable memory.
     *
     * @param code position-independent machine code
     * @return the code; stays until closed
     * @throws UnsupportedOperationException if the system refuses, with its reason
     */
    public static ExecutableCode load(byte[] code) {
        long bytes = Math.max(code.length, 1);
        return ForeignCall.of(() -> {
            try (Arena arena = Arena.ofConfined()) {
                return map(code, bytes, arena);
            }
        });
    }

    private static ExecutableCode map(byte[] code, long bytes, Arena arena) throws Throwable {
        MemorySegment state = arena.allocate(Libc.STATE);
        int writable = Libc.PROT_READ | Libc.PROT_WRITE;
        long address = (long) Libc.MMAP.invokeExact(state, 0L, bytes, writable, Libc.MAP_PRIVATE_ANONYMOUS, -1, 0L);
        if (address == Libc.MAP_FAILED) {
            throw refused("mmap", state);
        }
        MemorySegment.ofAddress(address).reinterpret(bytes).copyFrom(MemorySegment.ofArray(code));
        ExecutableCode result = new ExecutableCode(address, bytes);
        if ((int) Libc.MPROTECT.invokeExact(state, address, bytes, Libc.PROT_READ | Libc.PROT_EXEC) != 0) {
            UnsupportedOperationException refused = refused("mprotect", state);
            result.close();
            throw refused;
        }
        return result;
    }

    private static UnsupportedOperationException refused(String call, MemorySegment state) throws Throwable {
        return new UnsupportedOperationException("the system refuses executable memory: " + Libc.reason(call, state));
    }

    /**
     * Returns the entry point at an offset.
     *
     * @param offset bytes from the start of the code
     * @return its address, valid until this is closed
     */
    public MemorySegment entry(int offset) {
        if (offset < 0 || offset >= bytes) {
            throw new IllegalArgumentException("offset: expected 0..%d, found %d".formatted(bytes - 1, offset));
        }
        if (!open) {
            throw new IllegalStateException("this code was unloaded");
        }
        return MemorySegment.ofAddress(address + offset);
    }

    /** Unmaps the code. The caller makes sure that no thread runs it. A second call does nothing. */
    @Override
    public synchronized void close() {
        if (!open) {
            return;
        }
        open = false;
        int result = ForeignCall.of(() -> {
            try (Arena arena = Arena.ofConfined()) {
                return (int) Libc.MUNMAP.invokeExact(arena.allocate(Libc.STATE), address, bytes);
            }
        });
        if (result != 0) {
            throw new IllegalStateException("munmap failed");
        }
    }
}
