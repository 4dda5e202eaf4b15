package dev.dropless.kernels.cuda;

import static dev.dropless.kernels.cuda.HopperLaunches.BOX;
import static dev.dropless.kernels.cuda.HopperLaunches.RUN;
import static dev.dropless.kernels.cuda.Launcher.TILE;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.kernels.cuda.HopperTuning.Choice;
import dev.dropless.kernels.cuda.HopperTuning.Operation;
import dev.dropless.kernels.cuda.TensorMaps.Fields;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** Kernels of {@code hopper_dense.cu} and {@code hopper_blocks.cu}; what they do not take goes to the portable ones. */
final class HopperBlocks implements BlockEngine {

    private static final int WIDTH = 256;

    private final HopperLaunches hopper;
    private final PortableBlocks portable;

    HopperBlocks(HopperLaunches hopper, PortableBlocks portable) {
        this.hopper = hopper;
        this.portable = portable;
    }

    @Override
    public void product(Product p) {
        boolean takes = HopperLaunches.takes(p.type())
                && (p.pattern() == null ? takesDense(p) : takesSparse(turned(p), p.pattern()));
        if (!hopper.decide(takes)) {
            portable.product(p);
        } else if (p.kind() == Kind.DENSE && p.ta() == Transpose.N && p.tb() == Transpose.T && storesBoxes(p)) {
            matmul(p);
        } else {
            blocks(turned(p));
        }
    }

    /** The kernels take a sparse operand first: C of DDS is computed as the transpose of op(S)^T op(A)^T. */
    private static Product turned(Product p) {
        if (p.kind() != Kind.DDS) {
            return p;
        }
        return new Product(
                p.kind(),
                p.type(),
                p.b(),
                p.tb().flip(),
                p.a(),
                p.ta().flip(),
                p.c(),
                p.columns(),
                p.rows(),
                p.depth(),
                p.accumulate(),
                p.pattern(),
                p.stripes());
    }

    private static boolean takesDense(Product p) {
        return p.rows() > 0
                && p.columns() > 0
                && p.depth() > 0
                && p.columns() % RUN == 0
                && p.depth() % RUN == 0
                && HopperLaunches.takes(p.type(), p.a())
                && HopperLaunches.takes(p.type(), p.b())
                && HopperLaunches.tiles(p.rows()) * HopperLaunches.tiles(p.columns()) <= Integer.MAX_VALUE;
    }

    /** With the sparse operand first. */
    private static boolean takesSparse(Product p, DevicePattern pattern) {
        int b = pattern.blockSize();
        boolean sdd = p.kind() == Kind.SDD;
        boolean runsOverRows = p.ta() == Transpose.T && (sdd || p.tb() == Transpose.T);
        return pattern.blocks() > 0
                && b % RUN == 0
                && (b <= TILE || b % TILE == 0)
                && pattern.elements() / b <= Integer.MAX_VALUE
                && pattern.hasWholeColumns()
                && (!runsOverRows || pattern.hasRowsAtMultiplesOf8())
                && (sdd ? p.depth() > 0 && p.depth() % RUN == 0 : p.columns() > 0 && p.columns() % RUN == 0)
                && (sdd ? HopperLaunches.takes(p.type(), p.a()) : takesData(p.type(), p.a()))
                && HopperLaunches.takes(p.type(), p.b());
    }

    /** Blocks lie one behind the other. */
    private static boolean takesData(ElementType type, Matrix data) {
        return data.type() == type && KernelArguments.addressOf(data) % 16 == 0;
    }

    /** Whether C can leave by the copy engine. */
    private static boolean storesBoxes(Product p) {
        if (p.accumulate() || p.kind() == Kind.DDS) {
            return false;
        }
        return p.kind() == Kind.SDD
                ? takesData(p.type(), p.c())
                : p.c().columns() % RUN == 0 && HopperLaunches.takes(p.type(), p.c());
    }

    /** Both operands with the summed dimension contiguous. */
    private void matmul(Product p) {
        Choice choice = hopper.tuning().choose(Operation.MATMUL_NT, p.rows(), 1);
        long clusters = HopperLaunches.steps(HopperLaunches.tiles(p.rows()), choice.cluster())
                * Math.ceilDiv(p.columns(), (long) WIDTH);
        List<Fields> fields = List.of(Fields.of(p.a(), TILE), Fields.of(p.b(), TILE), Fields.of(p.c(), BOX));
        hopper.maps()
                .with(
                        fields,
                        set -> hopper.launcher()
                                .clusters(
                                        "hopper_matmul_nt",
                                        p.type(),
                                        clusters,
                                        choice.cluster(),
                                        words -> words.word(TensorMaps.map(set, 0))
                                                .word(TensorMaps.map(set, 1))
                                                .word(TensorMaps.map(set, 2))
                                                .matrix(p.c())
                                                .word(p.rows())
                                                .word(p.columns())
                                                .word(p.depth())
                                                .word(choice.group())));
    }

    /** The data of blocks as a matrix [elements / B, B]. */
    private static Fields data(Matrix blocks, DevicePattern pattern, int boxRows) {
        int b = pattern.blockSize();
        return new Fields(
                KernelArguments.addressOf(blocks),
                KernelArguments.code(blocks.type()),
                b,
                pattern.elements() / b,
                (long) b * blocks.type().bytes(),
                boxRows);
    }

    private static Fields fields(
            Matrix matrix, @Nullable DevicePattern pattern, boolean sparse, boolean depthContiguous) {
        int boxRows = depthContiguous ? TILE : BOX;
        return sparse ? data(matrix, Objects.requireNonNull(pattern), boxRows) : Fields.of(matrix, boxRows);
    }

    private static long rowTiles(Product p) {
        DevicePattern pattern = p.pattern();
        return pattern == null ? HopperLaunches.tiles(p.rows()) : p.stripes() * Math.max(1, pattern.blockSize() / TILE);
    }

    private static long columnTiles(Product p) {
        DevicePattern pattern = p.pattern();
        if (p.kind() == Kind.SDD && pattern != null) {
            return Math.ceilDiv((long) pattern.mostBlocks() * Math.max(1, pattern.blockSize() / TILE), 2L);
        }
        return Math.ceilDiv(p.columns(), (long) WIDTH);
    }

    private void blocks(Product p) {
        DevicePattern pattern = p.pattern();
        boolean sparseFirst = p.kind() == Kind.DSD || p.kind() == Kind.DDS;
        Choice choice = hopper.tuning().choose(Operation.BLOCKS, p.rows(), 1);
        long clusters = HopperLaunches.steps(rowTiles(p), choice.cluster()) * columnTiles(p);
        boolean boxes = storesBoxes(p);
        List<Fields> fields = new ArrayList<>();
        fields.add(fields(p.a(), pattern, sparseFirst, p.ta() == Transpose.N));
        fields.add(fields(p.b(), pattern, false, p.tb() == Transpose.T));
        if (boxes) {
            fields.add(
                    p.kind() == Kind.SDD ? data(p.c(), Objects.requireNonNull(pattern), BOX) : Fields.of(p.c(), BOX));
        }
        hopper.maps()
                .with(
                        List.copyOf(fields),
                        set -> hopper.launcher()
                                .clusters(
                                        "hopper_blocks" + BlockEngine.letters(p.ta(), p.tb()),
                                        p.type(),
                                        clusters,
                                        choice.cluster(),
                                        words -> {
                                            words.word(p.kind().ordinal())
                                                    .word(TensorMaps.map(set, 0))
                                                    .word(TensorMaps.map(set, 1))
                                                    .matrix(p.c())
                                                    .word(boxes ? TensorMaps.map(set, 2) : 0)
                                                    .word(p.rows())
                                                    .word(p.columns())
                                                    .word(p.depth())
                                                    .flag(p.accumulate())
                                                    .flag(pattern != null && pattern.isRagged())
                                                    .word(pattern == null ? 0 : pattern.mostBlocks())
                                                    .word(choice.group());
                                            DevicePattern.write(pattern, words);
                                        }));
    }
}
