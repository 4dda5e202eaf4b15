package dev.dropless.kernels.cpu.x86;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;

/**
 * Machine code in memory: written while the pages are writable, then made executable and no longer writable. The two rights never hold together.
 *
 * <p>Needs native access ({@code --enable-native-access}). Systems that forbid new executable pages (SELinux execmem, some hardened containers)
 * refuse in {@link #load}, with the reason.
 */
public final class ExecutableCode implements AutoCloseable {

    private static final int PROT_READ = 1;
    private static final int PROT_WRITE = 2;
    private static final int PROT_EXEC = 4;
    private static final int MAP_PRIVATE_ANONYMOUS = 0x22;

    /** Bound on first use, so that a process that never emits code never links libc. */
    private static final class Libc {
        static final Linker LINKER = Linker.nativeLinker();
        static final StructLayout STATE = Linker.Option.captureStateLayout();
        static final VarHandle ERRNO = STATE.varHandle(MemoryLayout.PathElement.groupElement("errno"));
        static final MethodHandle MMAP = bind(
                "mmap",
                FunctionDescriptor.of(JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG));
        static final MethodHandle MPROTECT =
                bind("mprotect", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT));
        static final MethodHandle MUNMAP = bind("munmap", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG));
        static final MethodHandle STRERROR = LINKER.downcallHandle(
                LINKER.defaultLookup().findOrThrow("strerror"), FunctionDescriptor.of(ADDRESS, JAVA_INT));

        private Libc() {}

        private static MethodHandle bind(String name, FunctionDescriptor type) {
            return LINKER.downcallHandle(
                    LINKER.defaultLookup().findOrThrow(name), type, Linker.Option.captureCallState("errno"));
        }
    }

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
        long address =
                (long) Libc.MMAP.invokeExact(state, 0L, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0L);
        if (address == -1) {
            throw refused("mmap", state);
        }
        MemorySegment.ofAddress(address).reinterpret(bytes).copyFrom(MemorySegment.ofArray(code));
        ExecutableCode result = new ExecutableCode(address, bytes);
        if ((int) Libc.MPROTECT.invokeExact(state, address, bytes, PROT_READ | PROT_EXEC) != 0) {
            UnsupportedOperationException refused = refused("mprotect", state);
            result.close();
            throw refused;
        }
        return result;
    }

    private static UnsupportedOperationException refused(String call, MemorySegment state) throws Throwable {
        int errno = (int) Libc.ERRNO.get(state, 0L);
        MemorySegment text = (MemorySegment) Libc.STRERROR.invokeExact(errno);
        return new UnsupportedOperationException("the system refuses executable memory: %s: %s (errno %d)"
                .formatted(call, text.reinterpret(256).getString(0), errno));
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
