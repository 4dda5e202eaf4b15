package dev.dropless.kernels.cuda;

import static dev.dropless.kernels.cuda.KernelArguments.addressOf;
import static dev.dropless.kernels.cuda.Launcher.TILE;

import dev.dropless.blocksparse.Matrix;

/** Kernels of {@code experts.cu} and {@code weight_gradients.cu}: every type, any address and stride. */
final class PortableExperts implements ExpertEngine {

    private final Launcher launcher;

    PortableExperts(Launcher launcher) {
        this.launcher = launcher;
    }

    private static long tilesOf(CudaExpertPlan plan, long columns, int width) {
        return plan.tiles() * Math.ceilDiv(columns, (long) width);
    }

    @Override
    public void up(Up o) {
        long tiles = tilesOf(o.plan(), o.shape().ffnHiddenSize(), o.shape().gated() ? TILE / 2 : TILE);
        launcher.tiles("up", "", o.type(), tiles, words -> {
            o.plan().write(words);
            words.matrix(o.x())
                    .word(o.scale())
                    .word(addressOf(o.weights()))
                    .matrix(o.bias())
                    .matrix(o.pre())
                    .matrix(o.hidden())
                    .activation(o.activation())
                    .word(o.shape().hiddenSize())
                    .word(o.shape().ffnHiddenSize())
                    .flag(o.shape().gated());
        });
    }

    @Override
    public void down(Down o) {
        launcher.tiles("down", "", o.type(), tilesOf(o.plan(), o.shape().hiddenSize(), TILE), words -> {
            o.plan().write(words);
            words.matrix(o.hidden())
                    .word(addressOf(o.weights()))
                    .matrix(o.bias())
                    .matrix(o.out())
                    .word(o.shape().hiddenSize())
                    .word(o.shape().ffnHiddenSize());
        });
    }

    @Override
    public void downDgrad(DownDgrad o) {
        long tiles = tilesOf(o.plan(), o.shape().ffnHiddenSize(), TILE);
        launcher.tiles("down_dgrad", "", o.type(), tiles, words -> {
            o.plan().write(words);
            words.matrix(o.dY())
                    .word(o.scale())
                    .word(addressOf(o.weights()))
                    .matrix(o.pre())
                    .matrix(o.hidden())
                    .matrix(o.dPre())
                    .word(o.partial())
                    .activation(o.activation())
                    .word(o.shape().hiddenSize())
                    .word(o.shape().ffnHiddenSize())
                    .flag(o.shape().gated())
                    .flag(o.recompute());
        });
    }

    @Override
    public void upDgrad(UpDgrad o) {
        launcher.tiles("up_dgrad", "", o.type(), tilesOf(o.plan(), o.shape().hiddenSize(), TILE), words -> {
            o.plan().write(words);
            words.matrix(o.dPre())
                    .word(addressOf(o.weights()))
                    .matrix(o.dRows())
                    .word(o.shape().hiddenSize())
                    .word(o.shape().preActivations());
        });
    }

    @Override
    public void upWgrad(WeightGradient o) {
        weightGradient("up_wgrad", o, o.rows(), o.tokens());
    }

    @Override
    public void downWgrad(WeightGradient o) {
        weightGradient("down_wgrad", o, o.tokens(), o.rows());
    }

    /** Adds an expert's rows' outer products to its gradient [columns of left, columns of right]. */
    private void weightGradient(String operation, WeightGradient o, Matrix left, Matrix right) {
        Matrix gradient = o.gradient();
        long rows = left.columns();
        long columns = gradient.columns();
        long perExpert = Math.ceilDiv(rows, (long) TILE) * Math.ceilDiv(columns, (long) TILE);
        launcher.tiles(operation, "", o.type(), o.plan().sizes().numExperts() * perExpert, words -> {
            o.plan().write(words);
            words.matrix(left)
                    .matrix(right)
                    .word(o.scale())
                    .word(addressOf(gradient))
                    .word(KernelArguments.code(gradient.type()))
                    .word(rows)
                    .word(columns)
                    .flag(true);
        });
    }
}
