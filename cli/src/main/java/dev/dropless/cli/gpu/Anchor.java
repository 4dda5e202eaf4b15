package dev.dropless.cli.gpu;

/**
 * A published figure to compare with.
 *
 * @param value in TFLOP/s, or a fraction of what cuBLAS reaches on the same product
 * @param ofCublas whether it is such a fraction
 * @param source who measured it, where, and at which sizes if they are not those of the row
 */
record Anchor(double value, boolean ofCublas, String source) {

    static Anchor teraflops(double value, String source) {
        return new Anchor(value, false, source);
    }
}
