package uk.ac.manchester.tornado.api.math;

/** Stands in for TornadoVM's class of that name where there is no SDK; as much of it as the kernels use. */
public final class TornadoMath {

    private TornadoMath() {}

    public static float exp(float value) {
        return (float) Math.exp(value);
    }

    public static double exp(double value) {
        return Math.exp(value);
    }

    public static double log(double value) {
        return Math.log(value);
    }

    public static double tanh(double value) {
        return Math.tanh(value);
    }
}
