package dev.dropless.kernels.tornado;

import dev.dropless.kernels.tornado.device.ElementLoops;
import dev.dropless.kernels.tornado.device.HalfLoops;
import dev.dropless.kernels.tornado.device.ProductCores;
import dev.dropless.kernels.tornado.device.ProductLoops;
import dev.dropless.kernels.tornado.device.ProductTiles;
import dev.dropless.kernels.tornado.device.RouterLoops;
import dev.dropless.kernels.tornado.device.RowLoops;
import dev.dropless.kernels.tornado.device.TopologyLoops;
import dev.dropless.kernels.tornado.device.UpTiles;
import dev.dropless.kernels.tornado.engine.Engine;
import dev.dropless.kernels.tornado.engine.Kernel;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.IntConsumer;
import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.Warp;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.arrays.ShortArray;

/** Runs the kernels as plain Java: loops as loops, tiles with one thread for each thread of a group. */
final class JavaEngine implements Engine {

    /** Short, so that tests stage in parts. */
    private static final int STAGING = 500;

    /** A kernel of one loop nest. */
    private interface Loops {
        void run(IntArray words, FloatArray constants, IntArray ints, FloatArray floats);
    }

    /** A kernel of groups of threads. */
    private interface Tiles {
        void run(KernelContext context, IntArray words, FloatArray constants, IntArray ints, FloatArray floats);
    }

    /** A kernel of warps. */
    private interface Cores {
        void run(KernelContext context, IntArray words, IntArray ints, ShortArray halves, FloatArray floats);
    }

    private final boolean tensorCores;
    private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
    private final IntArray words = new IntArray(WORDS);
    private final FloatArray constants = new FloatArray(CONSTANTS);
    private final FloatArray floatStaging = new FloatArray(STAGING);
    private final IntArray intStaging = new IntArray(STAGING);
    private final ShortArray halfStaging = new ShortArray(STAGING);
    private FloatArray floats = new FloatArray(0);
    private IntArray ints = new IntArray(0);
    private ShortArray halves = new ShortArray(0);
    private boolean closed;

    JavaEngine() {
        this(false);
    }

    /** With tensor cores, or what stands in for them. */
    JavaEngine(boolean tensorCores) {
        this.tensorCores = tensorCores;
    }

    @Override
    public boolean hasTensorCores() {
        return tensorCores;
    }

    @Override
    public String describe() {
        return "plain Java";
    }

    @Override
    public boolean prefersTiles() {
        return false;
    }

    @Override
    public boolean hasDoubles() {
        return true;
    }

    boolean isClosed() {
        return closed;
    }

    @Override
    public void reserve(int floatCount, int intCount, int halfCount) {
        FloatArray longerFloats = new FloatArray(Math.max(floatCount, floats.values().length));
        java.util.Arrays.fill(longerFloats.values(), Float.NaN);
        System.arraycopy(floats.values(), 0, longerFloats.values(), 0, floats.values().length);
        floats = longerFloats;
        IntArray longerInts = new IntArray(Math.max(intCount, ints.values().length));
        System.arraycopy(ints.values(), 0, longerInts.values(), 0, ints.values().length);
        ints = longerInts;
        ShortArray longerHalves = new ShortArray(Math.max(halfCount, halves.values().length));
        java.util.Arrays.fill(longerHalves.values(), (short) -1); // NaN
        System.arraycopy(halves.values(), 0, longerHalves.values(), 0, halves.values().length);
        halves = longerHalves;
    }

    @Override
    public int stagingLength() {
        return STAGING;
    }

    @Override
    public MemorySegment floatStaging(int count) {
        return MemorySegment.ofArray(floatStaging.values());
    }

    @Override
    public void scatter(int count, int start, int columns, int base, int rowStride) {
        setArguments(new int[] {count, start, columns, base, rowStride}, new float[0]);
        ElementLoops.scatter(words, floatStaging, floats);
    }

    @Override
    public MemorySegment intStaging(int count) {
        return MemorySegment.ofArray(intStaging.values());
    }

    @Override
    public void scatterInts(int count, int base) {
        setArguments(new int[] {count, base}, new float[0]);
        ElementLoops.scatterInts(words, intStaging, ints);
    }

    @Override
    public MemorySegment read(int first, int count) {
        return MemorySegment.ofArray(floats.values()).asSlice(4L * first, 4L * count);
    }

    @Override
    public MemorySegment readInts(int first, int count) {
        return MemorySegment.ofArray(ints.values()).asSlice(4L * first, 4L * count);
    }

    @Override
    public MemorySegment halfStaging(int count) {
        return MemorySegment.ofArray(halfStaging.values());
    }

    @Override
    public void scatterHalves(int count, int start, int columns, int base, int rowStride) {
        setArguments(new int[] {count, start, columns, base, rowStride}, new float[0]);
        HalfLoops.scatter(words, halfStaging, halves);
    }

    @Override
    public MemorySegment readHalves(int first, int count) {
        return MemorySegment.ofArray(halves.values()).asSlice(2L * first, 2L * count);
    }

    private void setArguments(int[] newWords, float[] newConstants) {
        System.arraycopy(newWords, 0, words.values(), 0, newWords.length);
        System.arraycopy(newConstants, 0, constants.values(), 0, newConstants.length);
    }

    @Override
    public void launch(Kernel kernel, int[] newWords, float[] newConstants, int columns, int rows) {
        setArguments(newWords, newConstants);
        switch (kernel) {
            case PRODUCT -> loop(ProductLoops::product);
            case PRODUCT_TILES -> tile(ProductTiles::product, columns, rows);
            case PRODUCT_BF16 -> warps(ProductCores::bfloat16, columns, rows);
            case PRODUCT_F16 -> warps(ProductCores::binary16, columns, rows);
            case PRODUCT_STORE -> loop(ProductCores::store);
            case OUTER -> loop(ProductLoops::outer);
            case OUTER_TILES -> tile(ProductTiles::outer, columns, rows);
            case UP -> loop(ProductLoops::up);
            case UP_TILES -> tile(UpTiles::up, columns, rows);
            case ACTIVATE -> loop(ElementLoops::activate);
            case ACTIVATION_GRADIENT -> loop(ElementLoops::activationGradient);
            case COMBINE -> loop(RowLoops::combine);
            case SLOT_GRADIENT -> loop(RowLoops::slotGradient);
            case BIAS_GRADIENT -> loop(RowLoops::biasGradient);
            case GATHER_SLOTS -> loop(ElementLoops::gatherSlots);
            case MULTIPLY -> loop(ElementLoops::multiply);
            case SIGMOID_GATE -> loop(ElementLoops::sigmoidGate);
            case SIGMOID_GATE_GRADIENT -> loop(ElementLoops::sigmoidGateGradient);
            case WIDEN -> HalfLoops.widen(words, constants, halves, floats);
            case NARROW -> HalfLoops.narrow(words, constants, halves, floats);
            case COPY -> loop(ElementLoops::copy);
            case FILL -> loop(ElementLoops::fill);
            case COPY_BLOCKS -> loop(ElementLoops::copyBlocks);
            case COUNT -> loop(TopologyLoops::count);
            case SCAN_CHUNKS -> loop(TopologyLoops::scanChunks);
            case SCAN_EXPERTS -> loop(TopologyLoops::scanExperts);
            case PLACE -> loop(TopologyLoops::place);
            case ROUTE_GROUPS -> loop(RouterLoops::limitGroups);
            case ROUTE -> loop(RouterLoops::route);
            case ROUTE_GRADIENT -> loop(RouterLoops::gradient);
            case IDENTITY_ADD -> loop(RouterLoops::addIdentity);
            case IDENTITY_GRADIENT -> loop(RouterLoops::identityGradient);
        }
    }

    private void loop(Loops kernel) {
        kernel.run(words, constants, ints, floats);
    }

    private void tile(Tiles kernel, int columns, int rows) {
        for (int group = 0; group < columns * rows; group++) {
            List<float[]> shared = new ArrayList<>();
            CyclicBarrier barrier = new CyclicBarrier(Kernel.THREADS * Kernel.THREADS);
            int x = group % columns;
            int y = group / columns;
            runGroup(Kernel.THREADS * Kernel.THREADS, n -> {
                KernelContext context =
                        new KernelContext(x, y, n % Kernel.THREADS, n / Kernel.THREADS, shared, barrier);
                kernel.run(context, words, constants, ints, floats);
            });
        }
    }

    private void warps(Cores kernel, int columns, int rows) {
        for (int group = 0; group < columns * rows; group++) {
            List<int[]> shared = new ArrayList<>();
            CyclicBarrier barrier = new CyclicBarrier(2 * Kernel.WARP);
            Warp[] warps = {new Warp(), new Warp()};
            int x = group % columns;
            int y = group / columns;
            runGroup(2 * Kernel.WARP, n -> {
                KernelContext context = new KernelContext(x, y, n, shared, barrier, warps[n / Kernel.WARP]);
                kernel.run(context, words, ints, halves, floats);
            });
        }
    }

    private void runGroup(int count, IntConsumer thread) {
        List<Future<?>> running = new ArrayList<>();
        for (int n = 0; n < count; n++) {
            int number = n;
            running.add(threads.submit(() -> thread.accept(number)));
        }
        for (Future<?> one : running) {
            try {
                one.get();
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        }
    }

    @Override
    public void close() {
        closed = true;
        threads.close();
    }
}
