package dev.dropless.kernels.cuda;

import static dev.dropless.kernels.cuda.KernelArguments.addressOf;
import static dev.dropless.kernels.cuda.KernelArguments.code;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.function.Consumer;

/**
 * Starts kernels in one stream. Blocks of our kernels take tiles in turns, so a grid is never larger than what the device runs at once; results do not depend on it.
 */
final class Launcher {

    /** Threads of every block. */
    static final int THREADS = 256;

    /** Rows and columns of a tile of any product. */
    static final int TILE = 128;

    /** Dynamic shared memory of a tile kernel: four stages of operands, or the tile's sums; and which tile it is. */
    static final int SHARED_F32 = 68_224;

    static final int SHARED_16_BIT = 67_712;

    /** Dynamic shared memory of bias_grad: 8 x 32 sums. */
    static final int SHARED_BIAS = 1024;

    private final DeviceContext context;
    private final DeviceStream stream;
    private final KernelImages images;
    private final ConcurrentMap<DeviceFunction, Integer> residentBlocks = new ConcurrentHashMap<>();

    Launcher(DeviceContext context, DeviceStream stream, KernelImages images) {
        this.context = context;
        this.stream = stream;
        this.images = images;
    }

    /** What kernels are called that compute with this type. */
    static String suffix(ElementType type) {
        return switch (type) {
            case F32 -> "_f32";
            case BF16 -> "_bf16";
            case F16 -> "_f16";
            case F64 -> throw new IllegalArgumentException("type: expected F32, BF16 or F16, found F64");
        };
    }

    /**
     * Starts a kernel that computes tiles.
     *
     * @param operation which, for instance "up"
     * @param variant what stands between the operation and the type, for instance "_nt"
     * @param type of its operands
     * @param tiles how many there are at most
     * @param arguments writes the arguments
     */
    void tiles(String operation, String variant, ElementType type, long tiles, Consumer<KernelArguments> arguments) {
        int shared = type == ElementType.F32 ? SHARED_F32 : SHARED_16_BIT;
        launch(images.find(operation, variant + suffix(type)), tiles, shared, arguments);
    }

    /**
     * Starts a kernel that works element by element, or row by row.
     *
     * @param operation which, for instance "combine"
     * @param blocks how many blocks find work
     * @param arguments writes the arguments
     */
    void elementwise(String operation, long blocks, Consumer<KernelArguments> arguments) {
        launch(images.find(operation, ""), blocks, 0, arguments);
    }

    /** Starts bias_grad. */
    void biasGradient(long blocks, Consumer<KernelArguments> arguments) {
        launch(images.find("bias_grad", ""), blocks, SHARED_BIAS, arguments);
    }

    private void launch(DeviceFunction function, long blocks, int shared, Consumer<KernelArguments> arguments) {
        if (blocks <= 0) {
            return;
        }
        int most = residentBlocks.computeIfAbsent(
                function,
                f -> Math.max(1, f.blocksPerMultiprocessor(THREADS, shared))
                        * context.properties().multiprocessors());
        try (KernelArguments words = new KernelArguments()) {
            arguments.accept(words);
            function.launch(stream, Launch.of(Math.min(blocks, most), THREADS, shared), words);
        }
    }

    /** Copies a matrix into another of the same shape, converting its type; F64 passes through F32. */
    void convert(Matrix source, Matrix target) {
        convert(source, source.rowStride(), 1, target);
    }

    /** Copies the transpose of a matrix. */
    void convertTransposed(Matrix source, Matrix target) {
        convert(source, 1, source.rowStride(), target);
    }

    private void convert(Matrix source, long rowStride, long columnStride, Matrix target) {
        long elements = target.rows() * target.columns();
        elementwise("convert", Math.ceilDiv(elements, THREADS), words -> words.word(addressOf(source))
                .word(rowStride)
                .word(columnStride)
                .word(code(source.type()))
                .word(addressOf(target))
                .word(target.rowStride())
                .word(1)
                .word(code(target.type()))
                .word(target.rows())
                .word(target.columns()));
    }

    /** Sets a matrix to zero. */
    void clear(Matrix matrix) {
        elementwise(
                "fill_zero",
                Math.ceilDiv(matrix.rows() * matrix.columns(), THREADS),
                words -> words.matrix(matrix).word(matrix.rows()).word(matrix.columns()));
    }
}
