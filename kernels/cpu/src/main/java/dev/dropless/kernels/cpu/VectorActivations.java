package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Activation;
import dev.dropless.kernels.cpu.x86.ForeignCall;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * Activations and their derivatives over whole vectors of an array. Loaded only where the module jdk.incubator.vector is resolved.
 *
 * <p>Every function has a method with a loop of its own, which is called through a method handle that is no constant, and limits are applied also where
 * they are infinite. Otherwise the compiler inlines one loop after the other into the caller until it has had enough in the middle of one, and vectors are
 * allocated there.
 */
final class VectorActivations {

    private static final VectorSpecies<Float> FLOATS = VectorMath.FLOATS;
    private static final int LANES = FLOATS.length();

    /** alpha, limit, end, a, aOffset, h, hOffset. */
    private static final MethodType VALUE = MethodType.methodType(
            void.class, float.class, float.class, int.class, float[].class, int.class, float[].class, int.class);
    /** alpha, limit, end, a, offset. */
    private static final MethodType SLOPE =
            MethodType.methodType(void.class, float.class, float.class, int.class, float[].class, int.class);
    /** limit, offset of up, end, b, bOffset, x, xOffset: those of a value. */
    private static final MethodType UP = VALUE;

    /** By function. */
    private static final MethodHandle[] VALUES = loops("", VALUE);

    private static final MethodHandle[] SLOPES = loops("Slope", SLOPE);
    private static final MethodHandle[] UPS = {loop("multiplyByUp", UP), loop("withinLimit", UP)};

    private VectorActivations() {}

    private static MethodHandle[] loops(String suffix, MethodType type) {
        return Arrays.stream(Activation.Function.values())
                .map(function -> switch (function) {
                    case IDENTITY -> "identity";
                    case RELU -> "relu";
                    case RELU_SQUARED -> "reluSquared";
                    case SILU -> "silu";
                    case GELU_TANH -> "geluTanh";
                    case GELU_ERF -> "geluErf";
                })
                .map(name -> loop(name + suffix, type))
                .toArray(MethodHandle[]::new);
    }

    private static MethodHandle loop(String name, MethodType type) {
        try {
            return MethodHandles.lookup().findStatic(VectorActivations.class, name, type);
        } catch (ReflectiveOperationException e) {
            throw new LinkageError("no loop " + name, e);
        }
    }

    /** h[i] = f(min(a[i], gateMax)) for i below {@code end}, a multiple of the vector length. */
    static void hidden(FloatActivation activation, int end, float[] a, int aOffset, float[] h, int hOffset) {
        try {
            VALUES[activation.function().ordinal()].invokeExact(
                    activation.alpha(), activation.gateMax(), end, a, aOffset, h, hOffset);
        } catch (Throwable e) { // what invokeExact declares
            throw ForeignCall.unchecked(e);
        }
    }

    /** a[i] becomes the derivative of {@link #hidden} by a[i]. */
    static void slopes(FloatActivation activation, int end, float[] a, int offset) {
        try {
            SLOPES[activation.function().ordinal()].invokeExact(
                    activation.alpha(), activation.gateMax(), end, a, offset);
        } catch (Throwable e) { // what invokeExact declares
            throw ForeignCall.unchecked(e);
        }
    }

    /** x[i] *= clamp(b[i]) + upOffset. */
    static void multiplyByUp(FloatActivation activation, int end, float[] b, int bOffset, float[] x, int xOffset) {
        up(0, activation, end, b, bOffset, x, xOffset);
    }

    /** x[i] becomes 0 where b[i] is beyond the limit. */
    static void withinLimit(FloatActivation activation, int end, float[] b, int bOffset, float[] x, int xOffset) {
        up(1, activation, end, b, bOffset, x, xOffset);
    }

    private static void up(
            int loop, FloatActivation activation, int end, float[] b, int bOffset, float[] x, int xOffset) {
        try {
            UPS[loop].invokeExact(activation.upLimit(), activation.upOffset(), end, b, bOffset, x, xOffset);
        } catch (Throwable e) { // what invokeExact declares
            throw ForeignCall.unchecked(e);
        }
    }

    /** target[i] = x[i] y[i]. */
    static void multiply(int end, float[] x, int xOffset, float[] y, int yOffset, float[] target, int targetOffset) {
        for (int i = 0; i < end; i += LANES) {
            FloatVector factor = FloatVector.fromArray(FLOATS, y, yOffset + i);
            FloatVector.fromArray(FLOATS, x, xOffset + i).mul(factor).intoArray(target, targetOffset + i);
        }
    }

    private static void multiplyByUp(
            float limit, float offset, int end, float[] b, int bOffset, float[] x, int xOffset) {
        FloatVector highest = VectorMath.all(limit);
        FloatVector lowest = VectorMath.all(-limit);
        FloatVector addend = VectorMath.all(offset);
        for (int i = 0; i < end; i += LANES) {
            FloatVector up = VectorMath.min(FloatVector.fromArray(FLOATS, b, bOffset + i), highest);
            up = VectorMath.max(up, lowest).add(addend);
            FloatVector.fromArray(FLOATS, x, xOffset + i).mul(up).intoArray(x, xOffset + i);
        }
    }

    private static void withinLimit(
            float limit, float offset, int end, float[] b, int bOffset, float[] x, int xOffset) {
        FloatVector highest = VectorMath.all(limit);
        for (int i = 0; i < end; i += LANES) {
            FloatVector up = FloatVector.fromArray(FLOATS, b, bOffset + i).abs();
            FloatVector.fromArray(FLOATS, x, xOffset + i)
                    .blend(VectorMath.V_ZERO, up.compare(VectorOperators.GT, highest))
                    .intoArray(x, xOffset + i);
        }
    }

    private static FloatVector gate(FloatVector limit, float[] a, int index) {
        return VectorMath.min(FloatVector.fromArray(FLOATS, a, index), limit);
    }

    private static void identity(float alpha, float gateMax, int end, float[] a, int aOffset, float[] h, int hOffset) {
        FloatVector limit = VectorMath.all(gateMax);
        for (int i = 0; i < end; i += LANES) {
            gate(limit, a, aOffset + i).intoArray(h, hOffset + i);
        }
    }

    private static void relu(float alpha, float gateMax, int end, float[] a, int aOffset, float[] h, int hOffset) {
        FloatVector limit = VectorMath.all(gateMax);
        for (int i = 0; i < end; i += LANES) {
            VectorMath.relu(gate(limit, a, aOffset + i)).intoArray(h, hOffset + i);
        }
    }

    private static void reluSquared(
            float alpha, float gateMax, int end, float[] a, int aOffset, float[] h, int hOffset) {
        relu(alpha, gateMax, end, a, aOffset, h, hOffset);
        multiply(end, h, hOffset, h, hOffset, h, hOffset);
    }

    private static void silu(float alpha, float gateMax, int end, float[] a, int aOffset, float[] h, int hOffset) {
        FloatVector limit = VectorMath.all(gateMax);
        FloatVector factor = VectorMath.all(alpha);
        for (int i = 0; i < end; i += LANES) {
            VectorMath.silu(gate(limit, a, aOffset + i), factor).intoArray(h, hOffset + i);
        }
    }

    private static void geluTanh(float alpha, float gateMax, int end, float[] a, int aOffset, float[] h, int hOffset) {
        FloatVector limit = VectorMath.all(gateMax);
        for (int i = 0; i < end; i += LANES) {
            VectorMath.geluTanh(gate(limit, a, aOffset + i)).intoArray(h, hOffset + i);
        }
    }

    private static void geluErf(float alpha, float gateMax, int end, float[] a, int aOffset, float[] h, int hOffset) {
        FloatVector limit = VectorMath.all(gateMax);
        for (int i = 0; i < end; i += LANES) {
            VectorMath.geluErf(gate(limit, a, aOffset + i)).intoArray(h, hOffset + i);
        }
    }

    /** Stores the slope at x; beyond the limit the function is constant. */
    private static void put(FloatVector slope, FloatVector x, FloatVector limit, float[] a, int index) {
        slope.blend(VectorMath.V_ZERO, x.compare(VectorOperators.GT, limit)).intoArray(a, index);
    }

    private static void identitySlope(float alpha, float gateMax, int end, float[] a, int offset) {
        FloatVector limit = VectorMath.all(gateMax);
        FloatVector one = VectorMath.all(1);
        for (int i = 0; i < end; i += LANES) {
            put(one, FloatVector.fromArray(FLOATS, a, offset + i), limit, a, offset + i);
        }
    }

    private static void reluSlope(float alpha, float gateMax, int end, float[] a, int offset) {
        FloatVector limit = VectorMath.all(gateMax);
        for (int i = 0; i < end; i += LANES) {
            FloatVector x = FloatVector.fromArray(FLOATS, a, offset + i);
            put(VectorMath.reluSlope(x), x, limit, a, offset + i);
        }
    }

    private static void reluSquaredSlope(float alpha, float gateMax, int end, float[] a, int offset) {
        FloatVector limit = VectorMath.all(gateMax);
        for (int i = 0; i < end; i += LANES) {
            FloatVector x = FloatVector.fromArray(FLOATS, a, offset + i);
            put(VectorMath.relu(x).mul(2), x, limit, a, offset + i);
        }
    }

    private static void siluSlope(float alpha, float gateMax, int end, float[] a, int offset) {
        FloatVector limit = VectorMath.all(gateMax);
        FloatVector factor = VectorMath.all(alpha);
        for (int i = 0; i < end; i += LANES) {
            FloatVector x = FloatVector.fromArray(FLOATS, a, offset + i);
            put(VectorMath.siluSlope(x.mul(factor)), x, limit, a, offset + i);
        }
    }

    private static void geluTanhSlope(float alpha, float gateMax, int end, float[] a, int offset) {
        FloatVector limit = VectorMath.all(gateMax);
        for (int i = 0; i < end; i += LANES) {
            FloatVector x = FloatVector.fromArray(FLOATS, a, offset + i);
            put(VectorMath.geluTanhSlope(x), x, limit, a, offset + i);
        }
    }

    private static void geluErfSlope(float alpha, float gateMax, int end, float[] a, int offset) {
        FloatVector limit = VectorMath.all(gateMax);
        for (int i = 0; i < end; i += LANES) {
            FloatVector x = FloatVector.fromArray(FLOATS, a, offset + i);
            put(VectorMath.geluErfSlope(x), x, limit, a, offset + i);
        }
    }
}
