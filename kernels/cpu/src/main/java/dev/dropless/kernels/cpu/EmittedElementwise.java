package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.kernels.cpu.x86.Assembler.Width;
import dev.dropless.kernels.cpu.x86.ForeignCall;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/** Activations in emitted machine code, as far as there is code; other elementwise work is left to other kernels. */
abstract class EmittedElementwise extends ElementwiseKernels {

    /** Critical calls, as short as those of {@link EmittedKernels}. */
    private static final class Calls {
        static final MethodHandle FORWARD =
                Linker.nativeLinker().downcallHandle(EmittedActivations.FORWARD, Linker.Option.critical(true));

        static final MethodHandle TILE =
                Linker.nativeLinker().downcallHandle(EmittedActivations.TILE, Linker.Option.critical(true));

        static final MethodHandle BACKWARD =
                Linker.nativeLinker().downcallHandle(EmittedActivations.BACKWARD, Linker.Option.critical(true));

        private Calls() {}
    }

    /** Emitted on first use, once: code is never unloaded. */
    private static final class Avx512 {
        static final EmittedActivations ACTIVATIONS = new EmittedActivations();

        private Avx512() {}
    }

    /** Vector length. */
    final Width width;

    EmittedElementwise(Width width, TileKernels others) {
        super(others);
        this.width = width;
    }

    private boolean has(FloatActivation activation) {
        return width == Width.ZMM && EmittedActivations.has(activation.function());
    }

    @Override
    public void activate(FloatActivation activation, int n, float[] a, int aOffset, float[] h, int hOffset) {
        int whole = has(activation) ? n - n % BLOCK : 0;
        forward(activation, false, whole, a, aOffset, a, aOffset, h, hOffset);
        if (whole < n) {
            others.activate(activation, n - whole, a, aOffset + whole, h, hOffset + whole);
        }
    }

    @Override
    public void activateGated(
            FloatActivation activation, int n, float[] a, int aOffset, float[] b, int bOffset, float[] h, int hOffset) {
        int whole = has(activation) ? n - n % BLOCK : 0;
        forward(activation, true, whole, a, aOffset, b, bOffset, h, hOffset);
        if (whole < n) {
            others.activateGated(activation, n - whole, a, aOffset + whole, b, bOffset + whole, h, hOffset + whole);
        }
    }

    /** So many elements, a multiple of a vector. */
    private static void forward(
            FloatActivation activation,
            boolean gated,
            int n,
            float[] a,
            int aOffset,
            float[] b,
            int bOffset,
            float[] h,
            int hOffset) {
        if (n == 0) {
            return;
        }
        checkFloats(a.length, aOffset, n);
        checkFloats(b.length, bOffset, n);
        checkFloats(h.length, hOffset, n);
        try {
            Calls.FORWARD.invokeExact(
                    Avx512.ACTIVATIONS.forward(activation.function(), gated),
                    MemorySegment.ofArray(a),
                    (long) aOffset,
                    MemorySegment.ofArray(b),
                    (long) bOffset,
                    MemorySegment.ofArray(h),
                    (long) hOffset,
                    (long) n / BLOCK,
                    activation.table());
        } catch (Throwable e) { // what invokeExact declares
            throw ForeignCall.unchecked(e);
        }
    }

    @Override
    public boolean activatesTiles(FloatActivation activation) {
        return has(activation);
    }

    @Override
    public void activateTile(
            FloatActivation activation,
            int rows,
            Storage tile,
            int offset,
            MemorySegment target,
            long targetOffset,
            long targetStride) {
        if (rows == 0) {
            return;
        }
        checkFloats(tile.elements(), offset, (long) rows * PANEL);
        Rows.check(rows, BLOCK, target, Format.F32, targetOffset, targetStride);
        checkWritable(target);
        boolean stream = isAligned(target, targetOffset, targetStride);
        try {
            Calls.TILE.invokeExact(
                    Avx512.ACTIVATIONS.tile(activation.function(), stream),
                    tile.segment(),
                    (long) offset,
                    target,
                    targetOffset,
                    targetStride * Float.BYTES,
                    (long) rows,
                    activation.table());
        } catch (Throwable e) { // what invokeExact declares
            throw ForeignCall.unchecked(e);
        }
    }

    /** Whether rows of floats begin cache lines, so that they can be written past the caches. */
    static boolean isAligned(MemorySegment target, long offset, long stride) {
        long address = target.address() + offset * Float.BYTES;
        return target.isNative() && (address | stride * Float.BYTES) % Matrix.ALIGNMENT == 0;
    }

    static void checkWritable(MemorySegment target) {
        if (target.isReadOnly()) {
            throw new IllegalArgumentException(
                    "target: expected memory that can be written, found a read-only segment");
        }
    }

    @Override
    public void differentiateTile(FloatActivation activation, TileGradient tile) {
        if (!has(activation)) {
            super.differentiateTile(activation, tile);
            return;
        }
        if (tile.rows == 0) {
            return;
        }
        int size = tile.rows * PANEL;
        checkFloats(tile.g.elements(), tile.gOffset, size);
        checkFloats(Math.min(tile.a.elements(), Math.min(tile.b.elements(), tile.h.elements())), 0, size);
        checkFloats(tile.factors.elements(), 0, tile.rows);
        // Sums that nobody wants go to one element, over and over.
        boolean wanted = tile.wantsDots();
        Storage dots = wanted ? tile.dots : tile.scratch;
        int offset = wanted ? tile.dotsOffset : 0;
        int stride = wanted ? tile.dotsStride : 0;
        checkFloats(dots.elements(), offset, (tile.rows - 1L) * stride + 1);
        try {
            Calls.BACKWARD.invokeExact(
                    Avx512.ACTIVATIONS.backward(activation.function(), tile.gated, tile.recompute),
                    tile.g.segment(),
                    (long) tile.gOffset,
                    tile.a.segment(),
                    tile.b.segment(),
                    tile.h.segment(),
                    tile.factors.segment(),
                    (long) tile.rows,
                    dots.segment(),
                    (long) offset,
                    (long) stride * Float.BYTES,
                    activation.table());
        } catch (Throwable e) { // what invokeExact declares
            throw ForeignCall.unchecked(e);
        }
    }

    private static void checkFloats(long size, int offset, long count) {
        if (offset < 0 || offset > size - count) {
            throw new IndexOutOfBoundsException("%d floats at %d of %d".formatted(count, offset, size));
        }
    }
}
