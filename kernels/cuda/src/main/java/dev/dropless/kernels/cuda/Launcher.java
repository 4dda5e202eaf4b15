package dev.dropless.kernels.cuda;

import static dev.dropless.kernels.cuda.KernelArguments.addressOf;
import static dev.dropless.kernels.cuda.KernelArguments.code;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;

/**
 * Starts kernels in one stream. Blocks of our kernels take tiles in turns, so a grid is never larger than what the device runs at once, or some times that where tiles take very different times; results do not depend on it.
 */
final class Launcher {

    /** Threads of a block of the kernels that work element by element. */
    static final int THREADS = 256;

    /** Rows and columns of a tile of any product. */
    static final int TILE = 128;

    /** Tiles of a cluster, where more clusters are launched than run at once: a start costs about a tenth of one. */
    private static final long LEAST_TILES = 8;

    private final DeviceContext context;
    private final DeviceStream stream;
    private final KernelImages images;
    private final boolean overlaps;
    private final AtomicLong early = new AtomicLong();
    private final ConcurrentMap<Resident, Integer> residentBlocks = new ConcurrentHashMap<>();

    /** A kernel with an amount of dynamic shared memory. */
    private record Resident(DeviceFunction function, int sharedBytes) {}

    /**
     * Launches in one stream.
     *
     * @param overlaps whether kernels that wait for earlier ones themselves may start while those end
     */
    Launcher(DeviceContext context, DeviceStream stream, KernelImages images, boolean overlaps) {
        this.context = context;
        this.stream = stream;
        this.images = images;
        this.overlaps = overlaps;
    }

    /** Kernels that were allowed to start while the one before ends. */
    long early() {
        return early.get();
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
        launch(images.find(operation + variant + suffix(type)), tiles, arguments);
    }

    /**
     * Starts a Hopper kernel, one block to a multiprocessor.
     *
     * @param operation which, for instance "hopper_down"
     * @param type of its operands
     * @param useful clusters that find work
     * @param cluster blocks of a cluster
     * @param arguments writes the arguments
     */
    void clusters(String operation, ElementType type, long useful, int cluster, Consumer<KernelArguments> arguments) {
        clusters(operation, type, useful, cluster, 1, arguments);
    }

    /**
     * Starts a Hopper kernel, one block to a multiprocessor at a time.
     *
     * @param operation which, for instance "hopper_up_wgrad"
     * @param type of its operands
     * @param useful clusters that find work
     * @param cluster blocks of a cluster
     * @param waves how many clusters there may be for each that runs at once: the device starts one where another ends, so that those with longer tiles get fewer of them;
     *     each has {@value #LEAST_TILES} tiles or more
     * @param arguments writes the arguments
     */
    void clusters(
            String operation,
            ElementType type,
            long useful,
            int cluster,
            int waves,
            Consumer<KernelArguments> arguments) {
        if (useful <= 0) {
            return;
        }
        KernelImages.Kernel kernel = images.find(operation + suffix(type));
        long resident = Math.max(1, context.properties().multiprocessors() / cluster);
        long clusters = Math.min(useful, resident * Math.clamp(useful / (resident * LEAST_TILES), 1, waves));
        int shared = kernel.properties().sharedBytes();
        int blocks = Math.toIntExact(clusters * cluster);
        boolean afterPrevious = overlaps && kernel.properties().waitsForEarlierLaunches() && stream.isAfterKernel();
        if (afterPrevious) {
            early.incrementAndGet();
        }
        start(
                kernel,
                new Launch(blocks, 1, 1, kernel.properties().threads(), shared, cluster, afterPrevious),
                arguments);
    }

    /**
     * Starts a kernel that has no type in its name.
     *
     * @param operation which, for instance "combine"
     * @param blocks how many blocks find work
     * @param arguments writes the arguments
     */
    void elementwise(String operation, long blocks, Consumer<KernelArguments> arguments) {
        launch(images.find(operation), blocks, arguments);
    }

    /**
     * Starts a kernel whose shared memory grows with the experts.
     *
     * @param operation which, for instance "router_forward"
     * @param blocks how many blocks find work
     * @param experts how many experts it has room for
     * @param arguments writes the arguments
     */
    void perExpert(String operation, long blocks, int experts, Consumer<KernelArguments> arguments) {
        KernelImages.Kernel kernel = images.find(operation);
        int shared = sharedBytes(kernel, experts);
        launch(kernel, Math.min(blocks, resident(kernel, shared)), shared, arguments);
    }

    /** As {@link #perExpert}, with exactly so many blocks. */
    void exact(String operation, int blocks, int experts, Consumer<KernelArguments> arguments) {
        KernelImages.Kernel kernel = images.find(operation);
        launch(kernel, blocks, sharedBytes(kernel, experts), arguments);
    }

    /** Dynamic shared memory of a kernel for a number of experts. */
    long sharedBytes(String operation, int experts) {
        KernelManifest.Launch properties = images.find(operation).properties();
        return properties.sharedBytes() + (long) properties.sharedBytesPerExpert() * experts;
    }

    private static int sharedBytes(KernelImages.Kernel kernel, int experts) {
        int each = kernel.properties().sharedBytesPerExpert();
        return Math.addExact(kernel.properties().sharedBytes(), Math.multiplyExact(each, experts));
    }

    private void launch(KernelImages.Kernel kernel, long blocks, Consumer<KernelArguments> arguments) {
        int shared = kernel.properties().sharedBytes();
        if (blocks > 0) {
            launch(kernel, Math.min(blocks, resident(kernel, shared)), shared, arguments);
        }
    }

    /** Blocks of a kernel that the device runs at once. */
    private int resident(KernelImages.Kernel kernel, int shared) {
        int threads = kernel.properties().threads();
        return residentBlocks.computeIfAbsent(
                new Resident(kernel.function(), shared),
                f -> Math.max(1, f.function().blocksPerMultiprocessor(threads, shared))
                        * context.properties().multiprocessors());
    }

    private void launch(KernelImages.Kernel kernel, long blocks, int shared, Consumer<KernelArguments> arguments) {
        if (blocks > 0) {
            start(kernel, Launch.of(blocks, kernel.properties().threads(), shared), arguments);
        }
    }

    private void start(KernelImages.Kernel kernel, Launch launch, Consumer<KernelArguments> arguments) {
        try (KernelArguments words = new KernelArguments()) {
            arguments.accept(words);
            if (words.count() != kernel.properties().argumentWords()) {
                throw new IllegalStateException("kernel %s takes %d words of arguments, found %d"
                        .formatted(kernel.function().name(), kernel.properties().argumentWords(), words.count()));
            }
            kernel.function().launch(stream, launch, words);
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
        elementwise(
                "convert",
                Math.ceilDiv(elements, THREADS),
                words -> words.word(addressOf(source))
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
