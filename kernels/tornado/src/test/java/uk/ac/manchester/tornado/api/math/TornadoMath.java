package uk.ac.manchester.tornado.api.math;

/** Stands in for TornadoVM's class of that name where there is no SDK; as much of it as the kernels use. */
public final class TornadoMath {

    private TornadoMath() {}

    public static float exp(float value) {
        return (float) Math.exp(value);
    }
}
