package dev.dropless.kernels.cpu;

import dev.dropless.kernels.cpu.x86.Assembler.Width;
import dev.dropless.kernels.cpu.x86.ForeignCall;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/** Products in emitted machine code that read or write matrices as they lie: what block products need beside those of {@link EmittedKernels}. */
abstract class EmittedBlocks extends EmittedRows {

    /** Critical calls, as short as those of {@link EmittedKernels}. */
    private static final class Calls {
        static final MethodHandle FEED =
                Linker.nativeLinker().downcallHandle(EmittedFeeds.SIGNATURE, Linker.Option.critical(true));

        static final MethodHandle UPDATE =
                Linker.nativeLinker().downcallHandle(EmittedUpdates.SIGNATURE, Linker.Option.critical(true));

        private Calls() {}
    }

    /** Emitted on first use, once: code is never unloaded. */
    private static final class Avx512Updates {
        static final EmittedUpdates CODE = new EmittedUpdates(Width.ZMM);

        private Avx512Updates() {}
    }

    private static final class Avx512Feeds {
        static final EmittedFeeds CODE = new EmittedFeeds(Width.ZMM);

        private Avx512Feeds() {}
    }

    private static final class Avx2Feeds {
        static final EmittedFeeds CODE = new EmittedFeeds(Width.YMM);

        private Avx2Feeds() {}
    }

    private static final class Avx2Updates {
        static final EmittedUpdates CODE = new EmittedUpdates(Width.YMM);

        private Avx2Updates() {}
    }

    EmittedBlocks(Width width, TileKernels others) {
        super(width, others);
    }

    /** A row of a panel is copied with every few terms. */
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
            Ahead copied,
            int panels,
            Storage target,
            int targetOffset,
            int targetStride) {
        int pieces = copied.rows() * panels;
        if (rows == 0 || pieces == 0 || pieces >= depth) {
            super.multiply(
                    rows,
                    depth,
                    a,
                    aOffset,
                    b,
                    bOffset,
                    c,
                    cOffset,
                    copied,
                    panels,
                    target,
                    targetOffset,
                    targetStride);
            return;
        }
        if (rows > interleavedRows() || depth > DEPTH) {
            throw new IndexOutOfBoundsException("%d rows, depth %d".formatted(rows, depth));
        }
        checkFloats(b);
        checkLeft(rows, depth, aOffset + (rows - 1L) * ROW_STRIDE + depth, a.elements(), aOffset);
        checkPanel(rows, depth, b, bOffset, c, cOffset);
        long stride = copied.stride() / Float.BYTES;
        long source = copied.offset() / Float.BYTES;
        Rows.check(copied.rows(), panels * PANEL, copied.segment(), Format.F32, source, stride);
        long length = (panels - 1L) * targetStride + (long) copied.rows() * PANEL;
        Rows.check(1, Math.toIntExact(length), target.segment(), Format.F32, targetOffset, targetStride);
        EmittedFeeds feeds = width == Width.ZMM ? Avx512Feeds.CODE : Avx2Feeds.CODE;
        int terms = (depth - 1) / pieces;
        try {
            Calls.FEED.invokeExact(
                    feeds.entry(rows),
                    a.segment(),
                    (long) aOffset,
                    b.segment(),
                    (long) bOffset,
                    c.segment(),
                    (long) cOffset,
                    copied.segment(),
                    source,
                    target.segment(),
                    (long) targetOffset,
                    copied.stride(),
                    (long) targetStride * Float.BYTES,
                    copied.rows() * copied.stride(),
                    (long) copied.rows(),
                    (long) panels,
                    (long) terms,
                    (long) depth - (long) pieces * terms,
                    (long) depth);
        } catch (Throwable e) { // what invokeExact declares
            throw ForeignCall.unchecked(e);
        }
    }

    @Override
    public boolean updatesMatrices() {
        return true;
    }

    /** As many rows are fetched as there are, a piece of a row with every few terms. */
    @Override
    public void updateMatrix(
            int rows,
            int depth,
            Storage a,
            int aOffset,
            Storage b,
            int bOffset,
            boolean accumulate,
            MemorySegment c,
            long cOffset,
            long cStride,
            long next) {
        if (rows == 0) {
            return;
        }
        if (rows > interleavedRows() || depth < 2) {
            throw new IndexOutOfBoundsException("%d rows, depth %d".formatted(rows, depth));
        }
        checkFloats(a);
        checkFloats(b);
        checkLeft(rows, depth, aOffset + (depth - 1L) * BLOCK + rows, a.elements(), aOffset);
        checkPanel(0, depth, b, bOffset, b, 0);
        Rows.check(rows, PANEL, c, Format.F32, cOffset, cStride);
        checkWritable(c);
        EmittedUpdates updates = width == Width.ZMM ? Avx512Updates.CODE : Avx2Updates.CODE;
        int pieces = Math.min(rows, depth - 1);
        int terms = (depth - 1) / pieces;
        try {
            Calls.UPDATE.invokeExact(
                    updates.entry(rows, accumulate),
                    a.segment(),
                    (long) aOffset,
                    b.segment(),
                    (long) bOffset,
                    c,
                    cOffset,
                    cStride * Float.BYTES,
                    next * Float.BYTES,
                    (long) pieces,
                    (long) terms,
                    (long) depth - (long) pieces * terms);
        } catch (Throwable e) { // what invokeExact declares
            throw ForeignCall.unchecked(e);
        }
    }

    /** Machine code does not check what it touches, and a wrong offset would end the process. */
    static void checkLeft(int rows, int depth, long end, long size, int offset) {
        if (rows < 0 || depth < 0 || offset < 0 || end > size) {
            throw new IndexOutOfBoundsException("left operand: %d rows, depth %d, from %d to %d of %d elements"
                    .formatted(rows, depth, offset, end, size));
        }
    }

    static void checkFloats(Storage operand) {
        if (!operand.isFloats()) {
            throw new IllegalArgumentException("operand: expected floats, found " + operand.format());
        }
    }

    static void checkPanel(int rows, int depth, Storage b, int bOffset, Storage c, int cOffset) {
        if (!c.isFloats()
                || (bOffset | cOffset) < 0
                || bOffset > b.elements() - (long) depth * PANEL
                || cOffset > c.elements() - (long) rows * PANEL) {
            throw new IndexOutOfBoundsException("%d rows, depth %d, offsets %d, %d of %d, %d elements"
                    .formatted(rows, depth, bOffset, cOffset, b.elements(), c.elements()));
        }
    }
}
