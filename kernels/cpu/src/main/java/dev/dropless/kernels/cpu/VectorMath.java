package dev.dropless.kernels.cpu;

import static dev.dropless.kernels.cpu.FloatMath.E2;
import static dev.dropless.kernels.cpu.FloatMath.E3;
import static dev.dropless.kernels.cpu.FloatMath.E4;
import static dev.dropless.kernels.cpu.FloatMath.E5;
import static dev.dropless.kernels.cpu.FloatMath.E6;
import static dev.dropless.kernels.cpu.FloatMath.E7;
import static dev.dropless.kernels.cpu.FloatMath.EXP_MAX;
import static dev.dropless.kernels.cpu.FloatMath.EXP_MIN;
import static dev.dropless.kernels.cpu.FloatMath.INV_SQRT_2PI;
import static dev.dropless.kernels.cpu.FloatMath.LN2_HIGH;
import static dev.dropless.kernels.cpu.FloatMath.LN2_LOW;
import static dev.dropless.kernels.cpu.FloatMath.LOG2_E;
import static dev.dropless.kernels.cpu.FloatMath.P0;
import static dev.dropless.kernels.cpu.FloatMath.P1;
import static dev.dropless.kernels.cpu.FloatMath.P10;
import static dev.dropless.kernels.cpu.FloatMath.P2;
import static dev.dropless.kernels.cpu.FloatMath.P3;
import static dev.dropless.kernels.cpu.FloatMath.P4;
import static dev.dropless.kernels.cpu.FloatMath.P5;
import static dev.dropless.kernels.cpu.FloatMath.P6;
import static dev.dropless.kernels.cpu.FloatMath.P7;
import static dev.dropless.kernels.cpu.FloatMath.P8;
import static dev.dropless.kernels.cpu.FloatMath.P9;
import static dev.dropless.kernels.cpu.FloatMath.ROUND;
import static dev.dropless.kernels.cpu.FloatMath.ROUND_BITS;
import static dev.dropless.kernels.cpu.FloatMath.TAIL_END;
import static dev.dropless.kernels.cpu.FloatMath.TANH_1;
import static dev.dropless.kernels.cpu.FloatMath.TANH_3;
import static dev.dropless.kernels.cpu.FloatMath.TANH_3_SLOPE;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * {@link FloatMath} on vectors, operation by operation. Loaded only where the module jdk.incubator.vector is resolved. Every method is small enough to be
 * inlined, without which vectors would be allocated.
 */
final class VectorMath {

    /** Two vectors must fit into a panel. */
    static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED.vectorBitSize() > 512
            ? FloatVector.SPECIES_512
            : FloatVector.SPECIES_PREFERRED;

    private VectorMath() {}

    private static FloatVector all(float value) {
        return FloatVector.broadcast(FLOATS, value);
    }

    static FloatVector exp(FloatVector value) {
        FloatVector x = max(min(value, EXP_MAX), EXP_MIN);
        FloatVector shifted = x.fma(all(LOG2_E), all(ROUND));
        FloatVector n = shifted.sub(ROUND);
        FloatVector r = n.fma(all(-LN2_HIGH), x);
        r = n.fma(all(-LN2_LOW), r);
        IntVector exponent = shifted.reinterpretAsInts().sub(ROUND_BITS);
        IntVector half = exponent.lanewise(VectorOperators.ASHR, 1);
        return expPolynomial(r).mul(powerOfTwo(half)).mul(powerOfTwo(exponent.sub(half)));
    }

    private static FloatVector expPolynomial(FloatVector r) {
        FloatVector p = all(E7).fma(r, all(E6));
        p = p.fma(r, all(E5));
        p = p.fma(r, all(E4));
        p = p.fma(r, all(E3));
        p = p.fma(r, all(E2));
        p = p.fma(r, all(1));
        return p.fma(r, all(1));
    }

    private static FloatVector powerOfTwo(IntVector exponent) {
        return exponent.add(127).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats();
    }

    static FloatVector sigmoid(FloatVector z) {
        FloatVector e = exp(z.abs().neg());
        return e.blend(1f, z.compare(VectorOperators.GE, 0f)).div(e.add(1));
    }

    static FloatVector sigmoidSlope(FloatVector z) {
        FloatVector e = exp(z.abs().neg());
        FloatVector d = e.add(1);
        return e.div(d.mul(d));
    }

    static FloatVector gaussian(FloatVector m) {
        FloatVector square = m.mul(m);
        FloatVector error = m.fma(m, square.neg());
        FloatVector e = exp(square.mul(-0.5f));
        return e.mul(-0.5f).fma(error, e);
    }

    static FloatVector magnitude(FloatVector a) {
        return min(a.abs(), TAIL_END);
    }

    static FloatVector normalCdf(FloatVector a) {
        FloatVector m = magnitude(a);
        FloatVector p = tailPolynomial(m.sub(4).div(m.add(4)));
        FloatVector tail = gaussian(m).mul(p).div(m.fma(all(2), all(1)));
        return tail.blend(all(1).sub(tail), a.compare(VectorOperators.GE, 0f));
    }

    private static FloatVector tailPolynomial(FloatVector q) {
        FloatVector p = all(P10).fma(q, all(P9));
        p = p.fma(q, all(P8));
        p = p.fma(q, all(P7));
        p = p.fma(q, all(P6));
        p = p.fma(q, all(P5));
        p = p.fma(q, all(P4));
        p = p.fma(q, all(P3));
        p = p.fma(q, all(P2));
        p = p.fma(q, all(P1));
        return p.fma(q, all(P0));
    }

    static FloatVector min(FloatVector a, float limit) {
        return a.blend(limit, a.compare(VectorOperators.GT, limit));
    }

    static FloatVector max(FloatVector a, float limit) {
        return a.blend(limit, a.compare(VectorOperators.LT, limit));
    }

    static FloatVector relu(FloatVector a) {
        return a.blend(0f, a.compare(VectorOperators.LE, 0f));
    }

    static FloatVector value(FloatActivation activation, FloatVector a) {
        return switch (activation.function()) {
            case IDENTITY -> a;
            case RELU -> relu(a);
            case RELU_SQUARED -> relu(a).mul(relu(a));
            case SILU -> a.mul(sigmoid(a.mul(activation.alpha())));
            case GELU_TANH -> a.mul(sigmoid(a.mul(a.mul(a).fma(all(TANH_3), all(TANH_1)))));
            case GELU_ERF -> a.mul(normalCdf(a));
        };
    }

    static FloatVector slope(FloatActivation activation, FloatVector a) {
        return switch (activation.function()) {
            case IDENTITY -> all(1);
            case RELU -> all(0).blend(1f, a.compare(VectorOperators.GT, 0f));
            case RELU_SQUARED -> relu(a).mul(2);
            case SILU -> {
                FloatVector z = a.mul(activation.alpha());
                yield plusSlope(sigmoid(z), z, sigmoidSlope(z));
            }
            case GELU_TANH -> tanhSlope(a);
            case GELU_ERF -> plusSlope(normalCdf(a), a, gaussian(magnitude(a)).mul(INV_SQRT_2PI));
        };
    }

    private static FloatVector tanhSlope(FloatVector a) {
        FloatVector square = a.mul(a);
        FloatVector z = a.mul(square.fma(all(TANH_3), all(TANH_1)));
        FloatVector w = sigmoidSlope(z);
        FloatVector dz = square.fma(all(TANH_3_SLOPE), all(TANH_1));
        FloatVector s = sigmoid(z);
        return a.mul(w).fma(dz, s).blend(s, w.compare(VectorOperators.EQ, 0f));
    }

    /** value + x * slope, or value where the slope has vanished. */
    private static FloatVector plusSlope(FloatVector value, FloatVector x, FloatVector slope) {
        return x.fma(slope, value).blend(value, slope.compare(VectorOperators.EQ, 0f));
    }

    static FloatVector hidden(FloatActivation activation, FloatVector a) {
        return value(activation, min(a, activation.gateMax()));
    }

    static FloatVector dHidden(FloatActivation activation, FloatVector a) {
        return slope(activation, a).blend(0f, a.compare(VectorOperators.GT, activation.gateMax()));
    }

    static FloatVector up(FloatActivation activation, FloatVector b) {
        return max(min(b, activation.upLimit()), -activation.upLimit()).add(activation.upOffset());
    }
}
