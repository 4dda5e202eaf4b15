package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.kernels.cpu.EmittedCode.Left;
import dev.dropless.kernels.cpu.x86.Assembler.Width;
import dev.dropless.kernels.cpu.x86.CpuFeatures;
import dev.dropless.kernels.cpu.x86.ForeignCall;
import dev.dropless.kernels.cpu.x86.LargePages;
import java.lang.foreign.Arena;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import org.jspecify.annotations.Nullable;

/**
 * The tier of emitted machine code: products by {@link EmittedCode}, called on the arrays themselves; everything else by the Vector API where it can be used,
 * else by plain Java.
 */
final class EmittedKernels implements TileKernels {

    /**
     * A critical call gets the addresses of arrays, and no garbage collection starts while it lasts: with the rows of
     * {@link ProductRunner#maxRows} that is less than 100 microseconds.
     *
     * <p>Apart from the class itself, whose {@link #disqualifier} must not need native access.
     */
    private static final class Calls {
        static final MethodHandle MULTIPLY =
                Linker.nativeLinker().downcallHandle(EmittedCode.SIGNATURE, Linker.Option.critical(true));

        static final MethodHandle TRANSPOSE =
                Linker.nativeLinker().downcallHandle(EmittedTranspose.SIGNATURE, Linker.Option.critical(true));

        static final MethodHandle COPY =
                Linker.nativeLinker().downcallHandle(EmittedCode.COPY_SIGNATURE, Linker.Option.critical(true));

        private Calls() {}
    }

    /** What the processor and the system allow: asked once, since the answer takes emitted code itself. */
    private static final class Host {
        static final @Nullable CpuFeatures FEATURES;
        static final @Nullable String REFUSAL;

        static {
            CpuFeatures features = null;
            String refusal = null;
            try {
                features = CpuFeatures.detect();
            } catch (UnsupportedOperationException e) {
                refusal = e.getMessage();
            }
            FEATURES = features;
            REFUSAL = refusal;
        }

        private Host() {}
    }

    /** Emitted on first use, once: code is never unloaded. */
    private static final class Avx512 {
        static final EmittedCode CODE = new EmittedCode(Width.ZMM);
        static final EmittedTranspose TRANSPOSE = new EmittedTranspose();

        private Avx512() {}
    }

    private static final class Avx2 {
        static final EmittedCode CODE = new EmittedCode(Width.YMM);

        private Avx2() {}
    }

    private final Width width;
    private final EmittedCode code;
    private final TileKernels others;

    /**
     * Emits the kernels, if that was not done before.
     *
     * @param width vector length; the processor has it
     * @param others kernels for everything but products
     */
    EmittedKernels(Width width, TileKernels others) {
        this.width = width;
        this.code = width == Width.ZMM ? Avx512.CODE : Avx2.CODE;
        this.others = others;
    }

    /** Why emitted code cannot run here, or null. The reasons are in the order in which a user would have to remove them. */
    static @Nullable String disqualifier() {
        String system = System.getProperty("os.name") + " on " + System.getProperty("os.arch");
        if (!system.equals("Linux on amd64")) {
            return "it needs Linux on amd64, this is " + system;
        }
        Module self = EmittedKernels.class.getModule();
        if (!self.isNativeAccessEnabled()) {
            return "native access is not enabled; start Java with --enable-native-access="
                    + (self.isNamed() ? self.getName() : "ALL-UNNAMED");
        }
        CpuFeatures features = Host.FEATURES;
        if (features == null) {
            return Host.REFUSAL;
        }
        return features.avx2Fma() ? null : "the processor (%s) lacks AVX2 or FMA".formatted(features.brand());
    }

    /** The widest vectors of this processor; only after {@link #disqualifier} found nothing. */
    static Width widest() {
        return Host.FEATURES != null && Host.FEATURES.avx512() ? Width.ZMM : Width.YMM;
    }

    @Override
    public CpuTier tier() {
        return CpuTier.EMITTED;
    }

    @Override
    public String description() {
        return "emitted %s, %s".formatted(width == Width.ZMM ? "AVX-512" : "AVX2", others.description());
    }

    /** Runs of a huge page and more get huge pages, others a cache line's alignment. */
    @Override
    public Storage.Allocator weights(Arena arena) {
        return (type, elements) -> {
            long bytes = (long) elements * type.bytes();
            MemorySegment segment = bytes < LargePages.PAGE
                    ? arena.allocate(bytes, Matrix.ALIGNMENT)
                    : LargePages.allocate(arena, bytes);
            return Storage.of(type, segment);
        };
    }

    @Override
    public void multiply(
            int rows,
            int depth,
            Storage a,
            int aOffset,
            Storage b,
            int bOffset,
            Storage c,
            int cOffset,
            Storage next,
            int nextOffset,
            int nextLength) {
        if (rows == 0 || depth == 0) {
            return;
        }
        if (depth > DEPTH) {
            throw new IndexOutOfBoundsException("depth %d of at most %d".formatted(depth, DEPTH));
        }
        checkLeft(rows, depth, aOffset + (rows - 1L) * ROW_STRIDE + depth, a.elements(), aOffset);
        checkPanel(rows, depth, b, bOffset, c, cOffset);
        MemorySegment left = a.segment();
        int groups = Math.ceilDiv(rows, code.maxRows());
        int height = rows / groups;
        int higher = rows % groups; // so many groups have one row more
        // All groups together fetch what is asked for, with no more than a row of a panel for every term.
        int step = Math.min(PANEL, Math.ceilDiv(nextLength, depth * groups));
        if (higher > 0) {
            MemorySegment entry = code.entry(Left.ROWS, height + 1, lines(step));
            call(entry, higher, depth, left, aOffset, b, bOffset, c, cOffset, next, nextOffset, step, 0);
        }
        if (groups > higher) {
            int first = higher * (height + 1);
            int from = aOffset + first * ROW_STRIDE;
            int to = cOffset + first * PANEL;
            int ahead = nextOffset + higher * depth * step;
            MemorySegment entry = code.entry(Left.ROWS, height, lines(step));
            call(entry, groups - higher, depth, left, from, b, bOffset, c, to, next, ahead, step, 0);
        }
    }

    /** Cache lines to fetch with every term. */
    private static int lines(int step) {
        return step > PANEL / 2 ? 2 : 1;
    }

    @Override
    public int interleavedRows() {
        return code.maxRows();
    }

    @Override
    public void multiplyColumns(
            int rows, int depth, Storage a, int aOffset, Storage b, int bOffset, Storage c, int cOffset) {
        if (rows == 0 || depth == 0) {
            return;
        }
        int height = code.maxRows();
        int groups = rows / height;
        int rest = rows - groups * height;
        long last = (long) Math.ceilDiv(rows, height) * depth * BLOCK;
        checkLeft(rows, depth, aOffset + last, a.elements(), aOffset);
        checkPanel(rows, depth, b, bOffset, c, cOffset);
        MemorySegment left = a.segment();
        int step = Math.min(PANEL, Math.ceilDiv(height * PANEL, depth));
        if (groups > 0) {
            MemorySegment entry = code.entry(Left.COLUMNS, height, lines(step));
            call(entry, groups, depth, left, aOffset, b, bOffset, c, cOffset, c, 0, step, 0);
        }
        if (rest > 0) {
            MemorySegment entry = code.entry(Left.COLUMNS, rest, lines(step));
            int from = aOffset + groups * depth * BLOCK;
            call(entry, 1, depth, left, from, b, bOffset, c, cOffset + groups * height * PANEL, c, 0, step, 0);
        }
    }

    @Override
    public void multiplyPanels(
            int rows,
            int depth,
            int columns,
            Storage a,
            int aOffset,
            int aStride,
            Storage b,
            int bOffset,
            Storage c,
            int cOffset,
            int nextOffset,
            int nextLength) {
        if (rows == 0 || depth == 0) {
            return;
        }
        if (rows > PANEL || depth % PANEL != 0 || aStride < 0) {
            throw new IndexOutOfBoundsException("%d rows, depth %d, stride %d".formatted(rows, depth, aStride));
        }
        checkLeft(rows, depth, aOffset + (depth / PANEL - 1L) * aStride + rows * PANEL, a.elements(), aOffset);
        checkPanel(rows, depth, b, bOffset, c, cOffset);
        boolean half = columns == BLOCK;
        int groups = Math.ceilDiv(rows, code.maxRows());
        int piece = Math.ceilDiv(nextLength, groups);
        int step = Math.ceilDiv(piece, PANEL);
        for (int group = 0; group < groups; group++) {
            int first = rows * group / groups;
            int height = rows * (group + 1) / groups - first;
            MemorySegment entry = half ? code.halfEntry(height) : code.entry(Left.PANELS, height, lines(step));
            int from = aOffset + first * PANEL;
            int to = cOffset + first * PANEL;
            int ahead = nextOffset + group * piece;
            call(entry, 1, depth, a.segment(), from, b, bOffset, c, to, a, ahead, step, aStride);
        }
    }

    private static void call(
            MemorySegment entry,
            int groups,
            int depth,
            MemorySegment a,
            int aOffset,
            Storage b,
            int bOffset,
            Storage c,
            int cOffset,
            Storage next,
            int ahead,
            int step,
            int aStride) {
        try {
            Calls.MULTIPLY.invokeExact(
                    entry,
                    a,
                    (long) aOffset,
                    b.segment(),
                    (long) bOffset,
                    c.segment(),
                    (long) cOffset,
                    (long) depth,
                    (long) groups,
                    next.segment(),
                    (long) ahead,
                    (long) step * Float.BYTES,
                    (long) aStride * Float.BYTES);
        } catch (Throwable e) { // what invokeExact declares
            throw ForeignCall.unchecked(e);
        }
    }

    /** Machine code does not check what it touches, and a wrong offset would end the process. */
    private static void checkLeft(int rows, int depth, long end, long size, int offset) {
        if (rows < 0 || depth < 0 || offset < 0 || end > size) {
            throw new IndexOutOfBoundsException("left operand: %d rows, depth %d, from %d to %d of %d elements"
                    .formatted(rows, depth, offset, end, size));
        }
    }

    private static void checkPanel(int rows, int depth, Storage b, int bOffset, Storage c, int cOffset) {
        if ((bOffset | cOffset) < 0
                || bOffset > b.elements() - (long) depth * PANEL
                || cOffset > c.elements() - (long) rows * PANEL) {
            throw new IndexOutOfBoundsException("%d rows, depth %d, offsets %d, %d of %d, %d elements"
                    .formatted(rows, depth, bOffset, cOffset, b.elements(), c.elements()));
        }
    }

    @Override
    public void transpose(
            int blocks,
            Storage source,
            int sourceOffset,
            int sourceStride,
            int sourceStep,
            Storage target,
            int targetOffset,
            int targetStride,
            int targetStep) {
        if (blocks == 0) {
            return;
        }
        if (width != Width.ZMM) {
            others.transpose(
                    blocks,
                    source,
                    sourceOffset,
                    sourceStride,
                    sourceStep,
                    target,
                    targetOffset,
                    targetStride,
                    targetStep);
            return;
        }
        checkBlocks(blocks, source.elements(), sourceOffset, sourceStride, sourceStep);
        checkBlocks(blocks, target.elements(), targetOffset, targetStride, targetStep);
        try {
            Calls.TRANSPOSE.invokeExact(
                    Avx512.TRANSPOSE.entry(),
                    source.segment(),
                    (long) sourceOffset,
                    (long) sourceStride * Float.BYTES,
                    target.segment(),
                    (long) targetOffset,
                    (long) targetStride * Float.BYTES,
                    (long) sourceStep * Float.BYTES,
                    (long) targetStep * Float.BYTES,
                    (long) blocks,
                    Avx512.TRANSPOSE.table());
        } catch (Throwable e) { // what invokeExact declares
            throw ForeignCall.unchecked(e);
        }
    }

    @Override
    public void copyRows(
            int rows,
            int columns,
            MemorySegment source,
            long sourceOffset,
            long sourceStride,
            MemorySegment target,
            long targetOffset,
            long targetStride) {
        MemorySegment entry = code.copyEntry(columns, false);
        copy(entry, rows, 1, columns, source, sourceOffset, sourceStride, 0, target, targetOffset, targetStride, 0);
    }

    /** Past the caches, which else would first read what is overwritten. */
    @Override
    public void writeRows(
            int rows,
            int columns,
            MemorySegment source,
            long sourceOffset,
            long sourceStride,
            MemorySegment target,
            long targetOffset,
            long targetStride) {
        long address = target.address() + targetOffset * Float.BYTES;
        boolean aligned = target.isNative() && (address | targetStride * Float.BYTES) % Matrix.ALIGNMENT == 0;
        MemorySegment entry = code.copyEntry(columns, aligned);
        copy(entry, rows, 1, columns, source, sourceOffset, sourceStride, 0, target, targetOffset, targetStride, 0);
    }

    @Override
    public void copyPieces(
            int rows,
            int pieces,
            int columns,
            MemorySegment source,
            long sourceOffset,
            long sourceStride,
            long sourceStep,
            MemorySegment target,
            long targetOffset,
            long targetStride,
            long targetStep) {
        copy(
                code.copyEntry(columns, false),
                rows,
                pieces,
                columns,
                source,
                sourceOffset,
                sourceStride,
                sourceStep,
                target,
                targetOffset,
                targetStride,
                targetStep);
    }

    private static void copy(
            MemorySegment entry,
            int rows,
            int pieces,
            int columns,
            MemorySegment source,
            long sourceOffset,
            long sourceStride,
            long sourceStep,
            MemorySegment target,
            long targetOffset,
            long targetStride,
            long targetStep) {
        if (rows == 0 || pieces == 0) {
            return;
        }
        checkRows(rows, pieces, columns, source, sourceOffset, sourceStride, sourceStep);
        checkRows(rows, pieces, columns, target, targetOffset, targetStride, targetStep);
        if (target.isReadOnly()) {
            throw new IllegalArgumentException(
                    "target: expected memory that can be written, found a read-only segment");
        }
        try {
            Calls.COPY.invokeExact(
                    entry,
                    source,
                    sourceOffset,
                    sourceStride * Float.BYTES,
                    target,
                    targetOffset,
                    targetStride * Float.BYTES,
                    (long) rows,
                    (long) pieces,
                    sourceStep * Float.BYTES,
                    targetStep * Float.BYTES);
        } catch (Throwable e) { // what invokeExact declares
            throw ForeignCall.unchecked(e);
        }
    }

    private static void checkRows(
            int rows, int pieces, int columns, MemorySegment segment, long offset, long stride, long step) {
        long last = offset + (rows - 1L) * stride + (pieces - 1L) * step + columns;
        if ((rows | pieces) < 0 || (offset | stride | step) < 0 || last > segment.byteSize() / Float.BYTES) {
            throw new IndexOutOfBoundsException("%d rows of %d x %d at %d, stride %d, step %d of %d bytes"
                    .formatted(rows, pieces, columns, offset, stride, step, segment.byteSize()));
        }
    }

    private static void checkBlocks(int blocks, long size, int offset, int stride, int step) {
        long last = offset + (blocks - 1L) * step + (BLOCK - 1L) * stride + BLOCK;
        if ((blocks | offset | stride | step) < 0 || last > size) {
            throw new IndexOutOfBoundsException(
                    "%d blocks at %d, stride %d, step %d of %d elements".formatted(blocks, offset, stride, step, size));
        }
    }

    @Override
    public void axpy(int n, float alpha, float[] x, int xOffset, float[] y, int yOffset) {
        others.axpy(n, alpha, x, xOffset, y, yOffset);
    }

    @Override
    public void scale(int n, float alpha, float[] x, int xOffset) {
        others.scale(n, alpha, x, xOffset);
    }

    @Override
    public float dot(int n, float[] x, int xOffset, float[] y, int yOffset, float[] lanes) {
        return others.dot(n, x, xOffset, y, yOffset, lanes);
    }

    @Override
    public void activate(FloatActivation activation, int n, float[] a, int aOffset, float[] h, int hOffset) {
        others.activate(activation, n, a, aOffset, h, hOffset);
    }

    @Override
    public void activateGated(
            FloatActivation activation, int n, float[] a, int aOffset, float[] b, int bOffset, float[] h, int hOffset) {
        others.activateGated(activation, n, a, aOffset, b, bOffset, h, hOffset);
    }

    @Override
    public void differentiate(FloatActivation activation, int n, float[] g, int gOffset, float[] a, int aOffset) {
        others.differentiate(activation, n, g, gOffset, a, aOffset);
    }

    @Override
    public void differentiateGated(
            FloatActivation activation,
            int n,
            float[] g,
            int gOffset,
            float[] a,
            int aOffset,
            float[] b,
            int bOffset,
            float[] h) {
        others.differentiateGated(activation, n, g, gOffset, a, aOffset, b, bOffset, h);
    }
}
