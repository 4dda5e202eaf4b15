package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.kernels.cpu.EmittedCode.Left;
import dev.dropless.kernels.cpu.x86.Assembler.Width;
import dev.dropless.kernels.cpu.x86.ForeignCall;
import dev.dropless.kernels.cpu.x86.LargePages;
import java.lang.foreign.Arena;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.ByteOrder;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The tier of emitted machine code: products by {@link EmittedCode}, called on the arrays themselves, those of blocks by {@link EmittedBlocks}, rows by {@link EmittedRows}; everything else by the Vector API
 * where it can be used, else by plain Java.
 */
final class EmittedKernels extends EmittedBlocks {

    /**
     * A critical call gets the addresses of arrays, and no garbage collection starts while it lasts: with the rows of
     * {@link ProductRunner#maxRows} that is less than 100 microseconds.
     */
    private static final class Calls {
        static final MethodHandle MULTIPLY =
                Linker.nativeLinker().downcallHandle(EmittedCode.SIGNATURE, Linker.Option.critical(true));

        private Calls() {}
    }

    /** Emitted on first use, once: code is never unloaded. */
    private static final class Avx512 {
        static final EmittedCode CODE = new EmittedCode(Width.ZMM, Format.F32);

        private Avx512() {}
    }

    /** For panels that are read once: the code for each narrow format is emitted on first use. */
    private static final class Avx512Narrow {
        static final Map<Format, EmittedCode> CODE = narrow(Width.ZMM);

        private Avx512Narrow() {}
    }

    private static final class Avx2Narrow {
        static final Map<Format, EmittedCode> CODE = narrow(Width.YMM);

        private Avx2Narrow() {}
    }

    private static Map<Format, EmittedCode> narrow(Width width) {
        Map<Format, EmittedCode> all = new EnumMap<>(Format.class);
        for (Format format : List.of(Format.BF16, Format.F16, Format.INT8)) {
            all.put(format, new EmittedCode(width, format));
        }
        return all;
    }

    /** Emitted where it is wanted. */
    private static final class Pairs {
        static final EmittedCode CODE = EmittedCode.ofPairs();

        private Pairs() {}
    }

    private static final class Avx2 {
        static final EmittedCode CODE = new EmittedCode(Width.YMM, Format.F32);

        private Avx2() {}
    }

    /** A pair of bfloat16. */
    private static final ValueLayout.OfInt PAIR = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private static final int LINE = 64;
    private static final int ROW_BYTES = PANEL * Float.BYTES;

    private final EmittedCode code;
    private final boolean pairs;

    /**
     * Emits the kernels, if that was not done before.
     *
     * @param width vector length; the processor has it
     * @param others kernels for everything but products
     */
    EmittedKernels(Width width, TileKernels others) {
        this(width, others, width == Width.ZMM && EmittedSupport.pairsAreFaster());
    }

    /**
     * The same with a choice for bfloat16.
     *
     * @param pairs whether to multiply pairs of terms; the processor has AVX512_BF16
     */
    EmittedKernels(Width width, TileKernels others, boolean pairs) {
        super(width, others);
        this.code = width == Width.ZMM ? Avx512.CODE : Avx2.CODE;
        this.pairs = pairs;
    }

    @Override
    public CpuTier tier() {
        return CpuTier.EMITTED;
    }

    @Override
    public String description() {
        String set = width == Width.ZMM ? "AVX-512" : "AVX2";
        return "emitted %s%s, %s".formatted(set, pairs ? " with bfloat16 pairs" : "", others.description());
    }

    /** Zero-filled; runs of a huge page and more get huge pages. */
    @Override
    public MemorySegment allocate(Arena arena, long bytes) {
        return bytes < LargePages.PAGE ? arena.allocate(bytes, Matrix.ALIGNMENT) : LargePages.allocate(arena, bytes);
    }

    @Override
    public Storage.Allocator weights(Arena arena) {
        return (format, elements) -> Storage.of(format, allocate(arena, (long) elements * format.bytes()));
    }

    /** As many as have their sums in registers together. */
    @Override
    public int narrowRows() {
        return code.maxRows();
    }

    @Override
    public boolean fetchesAnything() {
        return true;
    }

    private EmittedCode code(Format format) {
        if (format == Format.F32) {
            return code;
        }
        return Objects.requireNonNull((width == Width.ZMM ? Avx512Narrow.CODE : Avx2Narrow.CODE).get(format));
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
        multiply(code(b.format()), rows, depth, a, aOffset, b, bOffset, c, cOffset, next, nextOffset, nextLength);
    }

    private static void multiply(
            EmittedCode wanted,
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
        int groups = Math.ceilDiv(rows, wanted.maxRows());
        int height = rows / groups;
        int higher = rows % groups; // so many groups have one row more
        // All groups together fetch what is asked for, with no more than a row of a panel for every term.
        int step = Math.min(PANEL, Math.ceilDiv(nextLength, depth * groups));
        if (higher > 0) {
            MemorySegment entry = wanted.entry(Left.ROWS, height + 1, lines(step));
            call(entry, higher, depth, left, aOffset, b, bOffset, c, cOffset, next, nextOffset, step, 0);
        }
        if (groups > higher) {
            int first = higher * (height + 1);
            int from = aOffset + first * ROW_STRIDE;
            int to = cOffset + first * PANEL;
            int ahead = nextOffset + higher * depth * step;
            MemorySegment entry = wanted.entry(Left.ROWS, height, lines(step));
            call(entry, groups - higher, depth, left, from, b, bOffset, c, to, next, ahead, step, 0);
        }
    }

    /** The pieces of a row are fetched one after the other, with as many terms as there are for each row. */
    @Override
    public void multiply(
            int rows, int depth, Storage a, int aOffset, Storage b, int bOffset, Storage c, int cOffset, Ahead next) {
        int terms = next.rows() == 0 ? 0 : depth / next.rows();
        int pieces = terms == 0 ? 0 : next.rows();
        int fetching = terms * pieces;
        if (rows > 0 && fetching > 0) {
            if (rows > code.maxRows() || depth > DEPTH) {
                throw new IndexOutOfBoundsException("%d rows, depth %d".formatted(rows, depth));
            }
            checkFloats(b);
            checkLeft(rows, depth, aOffset + (rows - 1L) * ROW_STRIDE + depth, a.elements(), aOffset);
            checkPanel(rows, depth, b, bOffset, c, cOffset);
            long step = Math.min(ROW_BYTES, Math.ceilDiv(next.bytes() + LINE, terms));
            MemorySegment entry = code.entry(Left.ROWS, rows, step > LINE ? 2 : 1);
            MemorySegment left = a.segment();
            long from = next.offset() / Float.BYTES;
            long jump = next.stride() - terms * step;
            call(entry, 1, terms, pieces, left, aOffset, b, bOffset, c, cOffset, next.segment(), from, step, jump);
        }
        multiply(rows, depth - fetching, a, aOffset + fetching, b, bOffset + fetching * PANEL, c, cOffset, b, 0, 0);
    }

    @Override
    public boolean pairs() {
        return pairs;
    }

    @Override
    public void multiplyPairs(
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
        checkFloats(b);
        multiply(Pairs.CODE, rows, depth, a, aOffset, b, bOffset, c, cOffset, next, nextOffset, nextLength);
    }

    @Override
    public void pairTerms(int count, MemorySegment source, long sourceOffset, float[] target, int targetOffset) {
        int blocks = count / BLOCK;
        MemorySegment to = MemorySegment.ofArray(target);
        if (blocks > 0) {
            Rows.check(1, 2 * BLOCK * blocks, source, Format.BF16, sourceOffset, 0);
            Rows.check(1, BLOCK * blocks, to, Format.F32, targetOffset, 0);
            copy(conversions.rotation(), blocks, source, sourceOffset, 4L * BLOCK, to, targetOffset, 4L * BLOCK);
        }
        for (int i = blocks * BLOCK; i < count; i++) {
            int pair = source.get(PAIR, (sourceOffset + 2L * i) * Format.BF16.bytes());
            to.set(PAIR, (long) (targetOffset + i) * Float.BYTES, Integer.rotateLeft(pair, 16));
        }
    }

    @Override
    public void pairRows(int count, MemorySegment source, long sourceOffset, float[] target, int targetOffset) {
        if (count == 0) {
            return;
        }
        MemorySegment to = MemorySegment.ofArray(target);
        Rows.check(1, 2 * PANEL * count, source, Format.BF16, sourceOffset, 0);
        Rows.check(1, PANEL * count, to, Format.F32, targetOffset, 0);
        copy(conversions.pairs(), count, source, sourceOffset, 4L * PANEL, to, targetOffset, 4L * PANEL);
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
        checkFloats(b);
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
        checkFloats(a);
        checkFloats(b);
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
        long stepBytes = (long) step * Float.BYTES;
        long stride = (long) aStride * Float.BYTES;
        call(entry, groups, depth, 1, a, aOffset, b, bOffset, c, cOffset, next.segment(), ahead, stepBytes, stride);
    }

    /** Terms in pieces; the last two arguments are in bytes, see {@link EmittedCode#SIGNATURE}. */
    private static void call(
            MemorySegment entry,
            int groups,
            int depth,
            int pieces,
            MemorySegment a,
            int aOffset,
            Storage b,
            int bOffset,
            Storage c,
            int cOffset,
            MemorySegment next,
            long ahead,
            long step,
            long jump) {
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
                    next,
                    ahead,
                    step,
                    jump,
                    (long) pieces);
        } catch (Throwable e) { // what invokeExact declares
            throw ForeignCall.unchecked(e);
        }
    }
}
