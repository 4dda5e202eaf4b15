package dev.dropless.cli.gpu;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.util.List;
import java.util.Optional;

/** cuBLAS, called through {@code java.lang.foreign} as the measure of what a device can do. The calling thread has a CUDA context. */
final class Cublas implements AutoCloseable {

    private static final List<String> LIBRARIES = List.of("libcublas.so.13", "libcublas.so.12", "libcublas.so");
    private static final int TRANSPOSED = 1;
    private static final int PLAIN = 0;
    private static final int BF16 = 14;
    private static final int COMPUTE_F32 = 68;
    private static final int DEFAULT_ALGORITHM = -1;

    private final Arena arena = Arena.ofShared();
    private final SymbolLookup library;
    private final SymbolLookup driver;
    private final MemorySegment handle;
    private final MemorySegment one = arena.allocateFrom(JAVA_FLOAT, 1f);
    private final MemorySegment zero = arena.allocateFrom(JAVA_FLOAT, 0f);

    private Cublas(String name) {
        library = SymbolLookup.libraryLookup(name, arena);
        driver = SymbolLookup.libraryLookup("libcuda.so.1", arena);
        MemorySegment out = arena.allocate(ADDRESS);
        call(library, "cublasCreate_v2", out);
        handle = out.get(ADDRESS, 0);
    }

    /** Opens the newest that is installed. */
    static Optional<Cublas> open() {
        for (String name : LIBRARIES) {
            if (isInstalled(name)) {
                return Optional.of(new Cublas(name));
            }
        }
        return Optional.empty();
    }

    private static boolean isInstalled(String name) {
        try (Arena probe = Arena.ofConfined()) {
            return SymbolLookup.libraryLookup(name, probe).find("cublasGemmEx").isPresent();
        } catch (IllegalArgumentException e) {
            return false;
        }
    }

    /** c = a b^T of square row-major matrices; column-major they are c^T = b a^T. */
    void gemmBf16(Matrix a, Matrix b, Matrix c) {
        int n = Math.toIntExact(c.rows());
        call(
                library,
                "cublasGemmEx",
                handle,
                TRANSPOSED,
                PLAIN,
                n,
                n,
                n,
                one,
                b.segment(),
                BF16,
                n,
                a.segment(),
                BF16,
                n,
                zero,
                c.segment(),
                BF16,
                n,
                COMPUTE_F32,
                DEFAULT_ALGORITHM);
    }

    /**
     * A row-major matrix of every member of a batch.
     *
     * @param matrix where the first begins
     * @param stride elements from row to row
     * @param step elements from one member to the next
     */
    record Operand(Matrix matrix, long stride, long step) {}

    /** c = op(a) op(b) [m, n] summed over k, for every member of a batch. */
    record Batched(Operand a, Transpose ta, Operand b, Transpose tb, Operand c, int m, int n, int k, int batch) {

        double flops() {
            return 2.0 * m * n * k * batch;
        }
    }

    /** All products of a batch; column-major they are c^T = op(b)^T op(a)^T. */
    void gemmBf16(Batched p) {
        call(
                library,
                "cublasGemmStridedBatchedEx",
                handle,
                p.tb == Transpose.T ? TRANSPOSED : PLAIN,
                p.ta == Transpose.T ? TRANSPOSED : PLAIN,
                p.n,
                p.m,
                p.k,
                one,
                p.b.matrix.segment(),
                BF16,
                Math.toIntExact(p.b.stride),
                p.b.step,
                p.a.matrix.segment(),
                BF16,
                Math.toIntExact(p.a.stride),
                p.a.step,
                zero,
                p.c.matrix.segment(),
                BF16,
                Math.toIntExact(p.c.stride),
                p.c.step,
                p.batch,
                COMPUTE_F32,
                DEFAULT_ALGORITHM);
    }

    /** Waits for the device. */
    void await() {
        call(driver, "cuCtxSynchronize");
    }

    private static void call(SymbolLookup library, String function, Object... arguments) {
        MemoryLayout[] layouts = new MemoryLayout[arguments.length];
        for (int i = 0; i < arguments.length; i++) {
            layouts[i] = switch (arguments[i]) {
                case MemorySegment _ -> ADDRESS;
                case Long _ -> JAVA_LONG;
                default -> JAVA_INT;
            };
        }
        int status;
        try {
            status = (int) Linker.nativeLinker()
                    .downcallHandle(library.find(function).orElseThrow(), FunctionDescriptor.of(JAVA_INT, layouts))
                    .invokeWithArguments(arguments);
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) { // what MethodHandle declares
            throw new IllegalStateException(function, e);
        }
        if (status != 0) {
            throw new IllegalStateException("%s returned %d".formatted(function, status));
        }
    }

    @Override
    public void close() {
        call(library, "cublasDestroy_v2", handle);
        arena.close();
    }
}
