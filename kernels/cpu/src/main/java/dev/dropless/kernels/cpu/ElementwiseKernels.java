package dev.dropless.kernels.cpu;

/** Leaves everything but products and copies to other kernels; what can be done better is overridden. */
abstract class ElementwiseKernels implements TileKernels {

    /** What computes elementwise. */
    final TileKernels others;

    ElementwiseKernels(TileKernels others) {
        this.others = others;
    }

    @Override
    public final void axpy(int n, float alpha, float[] x, int xOffset, float[] y, int yOffset) {
        others.axpy(n, alpha, x, xOffset, y, yOffset);
    }

    @Override
    public final void scale(int n, float alpha, float[] x, int xOffset) {
        others.scale(n, alpha, x, xOffset);
    }

    @Override
    public final float dot(int n, float[] x, int xOffset, float[] y, int yOffset, float[] lanes) {
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
    public final void differentiate(FloatActivation activation, int n, float[] g, int gOffset, float[] a, int aOffset) {
        others.differentiate(activation, n, g, gOffset, a, aOffset);
    }

    @Override
    public final void differentiateGated(
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

    @Override
    public void differentiateTile(FloatActivation activation, TileGradient tile) {
        others.differentiateTile(activation, tile);
    }
}
