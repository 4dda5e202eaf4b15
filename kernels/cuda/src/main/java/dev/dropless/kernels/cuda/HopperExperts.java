package dev.dropless.kernels.cuda;

import static dev.dropless.kernels.cuda.HopperLaunches.BOX;
import static dev.dropless.kernels.cuda.KernelArguments.addressOf;
import static dev.dropless.kernels.cuda.Launcher.TILE;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.kernels.cuda.HopperTuning.Choice;
import dev.dropless.kernels.cuda.HopperTuning.Operation;
import dev.dropless.kernels.cuda.HopperTuning.Variant;
import dev.dropless.kernels.cuda.TensorMaps.Fields;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Kernels of {@code hopper_experts.cu}, {@code hopper_decode.cu}, {@code hopper_dgrad.cu} and {@code hopper_wgrad.cu}; what they do not take goes to the portable ones. */
final class HopperExperts implements ExpertEngine {

    /** Columns of a tile of a product that is not gated. */
    private static final int WIDTH = 256;

    /** Columns of a tile of the short variants of down and up_dgrad. */
    private static final int SHORT_WIDTH = 192;

    private final HopperLaunches hopper;
    private final Launcher launcher;
    private final TensorMaps maps;
    private final PortableExperts portable;

    HopperExperts(HopperLaunches hopper, PortableExperts portable) {
        this.hopper = hopper;
        this.launcher = hopper.launcher();
        this.maps = hopper.maps();
        this.portable = portable;
    }

    private Choice choose(Operation operation, CudaExpertPlan plan) {
        return hopper.tuning()
                .choose(operation, plan.sizes().rows(), plan.sizes().numExperts());
    }

    /** The launch of a product of rows with {@code columns}; sums of few products have a variant with other tiles. */
    private Choice choose(Operation operation, CudaExpertPlan plan, int columns, int depth) {
        // Columns of tiles that are not there cost as much as others: more than a sixteenth of them is more than the
        // variant saves.
        int wide = Math.ceilDiv(columns, WIDTH) * WIDTH;
        boolean fits = Math.ceilDiv(columns, SHORT_WIDTH) * SHORT_WIDTH <= wide + wide / 16;
        return fits
                ? hopper.tuning()
                        .choose(operation, plan.sizes().rows(), plan.sizes().numExperts(), depth)
                : choose(operation, plan);
    }

    private static boolean isShort(Choice choice) {
        return choice.variant() == Variant.SHORT;
    }

    /** Whether the kernels compute a product with these sizes, of rows that there are, and these matrices. */
    private boolean takes(
            CudaExpertPlan plan, ElementType type, long columns, long depth, @Nullable Matrix... matrices) {
        boolean takes = HopperLaunches.takes(type)
                && plan.tiles() > 0
                && columns % HopperLaunches.RUN == 0
                && depth % HopperLaunches.RUN == 0
                && plan.tiles() * Math.ceilDiv(columns, (long) TILE) <= Integer.MAX_VALUE;
        for (Matrix matrix : matrices) {
            takes = takes && HopperLaunches.takes(type, matrix);
        }
        return hopper.decideExperts(takes);
    }

    private static long clusters(CudaExpertPlan plan, Choice choice, long columns, int width) {
        return HopperLaunches.steps(plan.tiles(), choice.cluster()) * Math.ceilDiv(columns, (long) width);
    }

    @Override
    public void up(Up o) {
        ExpertShape shape = o.shape();
        int h = shape.hiddenSize();
        int f = shape.ffnHiddenSize();
        if (!takes(o.plan(), o.type(), f, h, o.x(), o.weights(), o.pre(), o.hidden())) {
            portable.up(o);
            return;
        }
        Choice choice = choose(Operation.UP, o.plan());
        long clusters = clusters(o.plan(), choice, f, shape.gated() ? WIDTH / 2 : WIDTH);
        if (choice.variant().decodeTokens() > 0) {
            decodeUp(o, choice, clusters);
            return;
        }
        Fields weights = Fields.of(o.weights(), TILE);
        Fields hidden = Fields.of(o.hidden(), BOX);
        Matrix pre = o.pre();
        List<Fields> fields = pre == null ? List.of(weights, hidden) : List.of(weights, hidden, Fields.of(pre, BOX));
        String kernel = shape.gated() ? "hopper_up_gated" : "hopper_up_plain";
        maps.with(
                fields,
                set -> launcher.clusters(kernel, o.type(), clusters, choice.cluster(), words -> {
                    o.plan().write(words);
                    words.matrix(o.x())
                            .word(o.scale())
                            .word(TensorMaps.map(set, 0))
                            .matrix(o.bias())
                            .matrix(pre)
                            .word(pre == null ? 0 : TensorMaps.map(set, 2))
                            .matrix(o.hidden())
                            .word(TensorMaps.map(set, 1))
                            .activation(o.activation())
                            .word(h)
                            .word(f)
                            .word(choice.group());
                }));
    }

    private void decodeUp(Up o, Choice choice, long clusters) {
        String kernel = "hopper_decode_up_" + choice.variant().decodeTokens();
        maps.with(
                List.of(Fields.of(o.weights(), TILE)),
                set -> launcher.clusters(kernel, o.type(), clusters, choice.cluster(), words -> {
                    o.plan().write(words);
                    words.matrix(o.x())
                            .word(o.scale())
                            .word(set)
                            .matrix(o.bias())
                            .matrix(o.pre())
                            .matrix(o.hidden())
                            .activation(o.activation())
                            .word(o.shape().hiddenSize())
                            .word(o.shape().ffnHiddenSize())
                            .flag(o.shape().gated());
                }));
    }

    @Override
    public void down(Down o) {
        int h = o.shape().hiddenSize();
        int f = o.shape().ffnHiddenSize();
        if (!takes(o.plan(), o.type(), h, f, o.hidden(), o.weights(), o.out())) {
            portable.down(o);
            return;
        }
        Choice choice = choose(Operation.DOWN, o.plan(), h, f);
        int width = isShort(choice) ? SHORT_WIDTH : WIDTH;
        long clusters = clusters(o.plan(), choice, h, width);
        if (choice.variant().decodeTokens() > 0) {
            decodeDown(o, choice, clusters);
            return;
        }
        List<Fields> fields =
                List.of(Fields.of(o.hidden(), BOX), Fields.of(o.weights(), width / 2), Fields.of(o.out(), BOX));
        String kernel = isShort(choice) ? "hopper_down_short" : "hopper_down";
        maps.with(
                fields,
                set -> launcher.clusters(kernel, o.type(), clusters, choice.cluster(), words -> {
                    o.plan().write(words);
                    words.word(TensorMaps.map(set, 0))
                            .word(TensorMaps.map(set, 1))
                            .matrix(o.bias())
                            .matrix(o.out())
                            .word(TensorMaps.map(set, 2))
                            .word(h)
                            .word(f)
                            .word(choice.group());
                }));
    }

    private void decodeDown(Down o, Choice choice, long clusters) {
        String kernel = "hopper_decode_down_" + choice.variant().decodeTokens();
        maps.with(
                List.of(Fields.of(o.weights(), TILE)),
                set -> launcher.clusters(kernel, o.type(), clusters, choice.cluster(), words -> {
                    o.plan().write(words);
                    words.matrix(o.hidden())
                            .word(set)
                            .matrix(o.bias())
                            .matrix(o.out())
                            .word(o.shape().hiddenSize())
                            .word(o.shape().ffnHiddenSize());
                }));
    }

    @Override
    public void downDgrad(DownDgrad o) {
        int h = o.shape().hiddenSize();
        int f = o.shape().ffnHiddenSize();
        if (!takes(o.plan(), o.type(), f, h, o.dY(), o.weights(), o.pre(), o.hidden(), o.dPre())) {
            portable.downDgrad(o);
            return;
        }
        Choice choice = choose(Operation.DOWN_DGRAD, o.plan());
        long clusters = clusters(o.plan(), choice, f, TILE);
        maps.with(
                List.of(Fields.of(o.weights(), BOX)),
                set -> launcher.clusters("hopper_down_dgrad", o.type(), clusters, choice.cluster(), words -> {
                    o.plan().write(words);
                    words.matrix(o.dY())
                            .word(o.scale())
                            .word(set)
                            .matrix(o.pre())
                            .matrix(o.hidden())
                            .matrix(o.dPre())
                            .word(o.partial())
                            .activation(o.activation())
                            .word(h)
                            .word(f)
                            .flag(o.shape().gated())
                            .flag(o.recompute())
                            .word(choice.group());
                }));
    }

    @Override
    public void upDgrad(UpDgrad o) {
        int h = o.shape().hiddenSize();
        int p = o.shape().preActivations();
        if (!takes(o.plan(), o.type(), h, p, o.dPre(), o.weights(), o.dRows())) {
            portable.upDgrad(o);
            return;
        }
        Choice choice = choose(Operation.UP_DGRAD, o.plan(), h, p);
        long clusters = clusters(o.plan(), choice, h, isShort(choice) ? SHORT_WIDTH : WIDTH);
        String kernel = isShort(choice) ? "hopper_up_dgrad_short" : "hopper_up_dgrad";
        List<Fields> fields = List.of(Fields.of(o.dPre(), BOX), Fields.of(o.weights(), BOX), Fields.of(o.dRows(), BOX));
        maps.with(
                fields,
                set -> launcher.clusters(kernel, o.type(), clusters, choice.cluster(), words -> {
                    o.plan().write(words);
                    words.word(TensorMaps.map(set, 0))
                            .word(TensorMaps.map(set, 1))
                            .matrix(o.dRows())
                            .word(TensorMaps.map(set, 2))
                            .word(h)
                            .word(p)
                            .word(choice.group());
                }));
    }

    @Override
    public void upWgrad(WeightGradient o) {
        if (takesGradient(o)) {
            weightGradient("hopper_up_wgrad", Operation.UP_WGRAD, o);
        } else {
            portable.upWgrad(o);
        }
    }

    @Override
    public void downWgrad(WeightGradient o) {
        if (takesGradient(o)) {
            weightGradient("hopper_down_wgrad", Operation.DOWN_WGRAD, o);
        } else {
            portable.downWgrad(o);
        }
    }

    private boolean takesGradient(WeightGradient o) {
        return takes(o.plan(), o.type(), o.rows().columns(), o.tokens().columns(), o.tokens(), o.rows());
    }

    /** Tiles are of the gathered rows' columns by those of the consecutive ones. */
    private void weightGradient(String kernel, Operation operation, WeightGradient o) {
        Choice choice = choose(operation, o.plan());
        long h = o.tokens().columns();
        long columns = o.rows().columns();
        long perExpert = HopperLaunches.steps(HopperLaunches.tiles(h), choice.cluster())
                * Math.ceilDiv(columns, isShort(choice) ? (long) TILE : WIDTH);
        long clusters = o.plan().sizes().numExperts() * perExpert;
        String name = isShort(choice) ? kernel + "_short" : kernel;
        maps.with(
                List.of(Fields.of(o.rows(), BOX)),
                set -> launcher.clusters(name, o.type(), clusters, choice.cluster(), choice.waves(), words -> {
                    o.plan().write(words);
                    words.word(set)
                            .matrix(o.tokens())
                            .word(o.scale())
                            .word(addressOf(o.gradient()))
                            .word(KernelArguments.code(o.gradient().type()))
                            .word(h)
                            .word(columns)
                            .flag(true)
                            .word(choice.group());
                }));
    }
}
