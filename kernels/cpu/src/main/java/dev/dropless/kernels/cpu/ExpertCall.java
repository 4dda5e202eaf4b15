package dev.dropless.kernels.cpu;

/** The descriptions of products and sums that one operation on experts needs. Taken from a pool for the operation, and given back by {@link #close}. */
final class ExpertCall implements Pool.Reusable, AutoCloseable {

    private final Pool<ExpertCall> home;
    final UpProduct up;
    final DownProduct down;
    final UpDgradProduct upDgrad;
    final DownDgradProduct downDgrad;
    final WgradProduct wgrad;
    final TokenSums.OfRows rowSums;
    final TokenSums.CombineWeightGradients combineWeightGradients;
    final TokenSums.InputWeightGradients inputWeightGradients;
    final BiasGradients biasGradients;
    final Activations activations;

    ExpertCall(ProductRunner runner, Pool<ExpertCall> home) {
        TileKernels kernels = runner.kernels();
        this.home = home;
        this.up = new UpProduct(kernels);
        this.down = new DownProduct(kernels);
        this.upDgrad = new UpDgradProduct(kernels);
        this.downDgrad = new DownDgradProduct(kernels);
        this.wgrad = new WgradProduct(kernels);
        this.rowSums = new TokenSums.OfRows(runner);
        this.combineWeightGradients = new TokenSums.CombineWeightGradients(runner);
        this.inputWeightGradients = new TokenSums.InputWeightGradients(runner);
        this.biasGradients = new BiasGradients(runner);
        this.activations = new Activations(runner);
    }

    @Override
    public void clear() {
        up.clear();
        down.clear();
        upDgrad.clear();
        downDgrad.clear();
        wgrad.clear();
        rowSums.clear();
        combineWeightGradients.clear();
        inputWeightGradients.clear();
        biasGradients.clear();
        activations.clear();
    }

    @Override
    public void close() {
        home.give(this);
    }
}
