package dev.dropless.kernels.cpu;

import static dev.dropless.kernels.cpu.FloatMath.E2;
import static dev.dropless.kernels.cpu.FloatMath.E3;
import static dev.dropless.kernels.cpu.FloatMath.E4;
import static dev.dropless.kernels.cpu.FloatMath.E5;
import static dev.dropless.kernels.cpu.FloatMath.E6;
import static dev.dropless.kernels.cpu.FloatMath.E7;
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
 * inlined, without which vectors would be allocated; for the same reason a loop may contain one exponential function only (the compiler stops inlining at
 * a number of graph nodes): see {@link VectorActivations}.
 */
final class VectorMath {

    /** Two vectors must fit into a panel. */
    static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED.vectorBitSize() > 512
            ? FloatVector.SPECIES_512
            : FloatVector.SPECIES_PREFERRED;

    // The constants of FloatMath as vectors: a broadcast in a loop costs the compiler more nodes than all else.
    private static final FloatVector V_EXP_MIN = all(EXP_MIN);
    private static final FloatVector V_TAIL_END = all(TAIL_END);
    private static final FloatVector V_E2 = all(E2);
    private static final FloatVector V_E3 = all(E3);
    private static final FloatVector V_E4 = all(E4);
    private static final FloatVector V_E5 = all(E5);
    private static final FloatVector V_E6 = all(E6);
    private static final FloatVector V_E7 = all(E7);
    private static final FloatVector V_LOG2_E = all(LOG2_E);
    private static final FloatVector V_ROUND = all(ROUND);
    private static final FloatVector V_P0 = all(P0);
    private static final FloatVector V_P1 = all(P1);
    private static final FloatVector V_P2 = all(P2);
    private static final FloatVector V_P3 = all(P3);
    private static final FloatVector V_P4 = all(P4);
    private static final FloatVector V_P5 = all(P5);
    private static final FloatVector V_P6 = all(P6);
    private static final FloatVector V_P7 = all(P7);
    private static final FloatVector V_P8 = all(P8);
    private static final FloatVector V_P9 = all(P9);
    private static final FloatVector V_P10 = all(P10);
    private static final FloatVector V_TANH_1 = all(TANH_1);
    private static final FloatVector V_TANH_3 = all(TANH_3);
    private static final FloatVector V_TANH_3_SLOPE = all(TANH_3_SLOPE);
    private static final FloatVector V_LN2_HIGH = all(-LN2_HIGH);
    private static final FloatVector V_LN2_LOW = all(-LN2_LOW);
    static final FloatVector V_ZERO = all(0);
    private static final FloatVector V_ONE = all(1);
    private static final FloatVector V_TWO = all(2);
    private static final FloatVector V_FOUR = all(4);
    private static final FloatVector V_MINUS_HALF = all(-0.5f);
    private static final FloatVector V_INV_SQRT_2PI = all(INV_SQRT_2PI);
    private static final VectorSpecies<Integer> INTS = FLOATS.withLanes(int.class);
    private static final IntVector V_ROUND_BITS = IntVector.broadcast(INTS, ROUND_BITS);
    private static final IntVector V_BIAS = IntVector.broadcast(INTS, 127);

    private VectorMath() {}

    static FloatVector all(float value) {
        return FloatVector.broadcast(FLOATS, value);
    }

    /** e^x for x <= 0, so that there is no upper limit to apply. */
    static FloatVector exp(FloatVector value) {
        FloatVector x = max(value, V_EXP_MIN);
        FloatVector shifted = x.fma(V_LOG2_E, V_ROUND);
        FloatVector n = shifted.sub(V_ROUND);
        FloatVector r = n.fma(V_LN2_HIGH, x);
        r = n.fma(V_LN2_LOW, r);
        IntVector exponent = shifted.reinterpretAsInts().sub(V_ROUND_BITS);
        IntVector half = exponent.lanewise(VectorOperators.ASHR, 1);
        return expPolynomial(r).mul(powerOfTwo(half)).mul(powerOfTwo(exponent.sub(half)));
    }

    private static FloatVector expPolynomial(FloatVector r) {
        FloatVector p = V_E7.fma(r, V_E6);
        p = p.fma(r, V_E5);
        p = p.fma(r, V_E4);
        p = p.fma(r, V_E3);
        p = p.fma(r, V_E2);
        p = p.fma(r, V_ONE);
        return p.fma(r, V_ONE);
    }

    private static FloatVector powerOfTwo(IntVector exponent) {
        return exponent.add(V_BIAS).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats();
    }

    private static FloatVector sigmoid(FloatVector z) {
        return sigmoid(z, exp(z.abs().neg()));
    }

    /** sigmoid(z), where e = exp(-|z|). */
    private static FloatVector sigmoid(FloatVector z, FloatVector e) {
        return e.blend(V_ONE, z.compare(VectorOperators.GE, V_ZERO)).div(e.add(V_ONE));
    }

    /** sigmoid'(z), where e = exp(-|z|). */
    private static FloatVector sigmoidSlope(FloatVector e) {
        FloatVector d = e.add(V_ONE);
        return e.div(d.mul(d));
    }

    static FloatVector gaussian(FloatVector m) {
        FloatVector square = m.mul(m);
        FloatVector error = m.fma(m, square.neg());
        FloatVector e = exp(square.mul(V_MINUS_HALF));
        return e.mul(V_MINUS_HALF).fma(error, e);
    }

    static FloatVector magnitude(FloatVector a) {
        return min(a.abs(), V_TAIL_END);
    }

    /** Phi(a), where density = gaussian(m), m = magnitude(a). */
    private static FloatVector normalCdf(FloatVector a, FloatVector m, FloatVector density) {
        FloatVector p = tailPolynomial(m.sub(V_FOUR).div(m.add(V_FOUR)));
        FloatVector tail = density.mul(p).div(m.fma(V_TWO, V_ONE));
        return tail.blend(V_ONE.sub(tail), a.compare(VectorOperators.GE, V_ZERO));
    }

    private static FloatVector normalCdf(FloatVector a) {
        FloatVector m = magnitude(a);
        return normalCdf(a, m, gaussian(m));
    }

    private static FloatVector tailPolynomial(FloatVector q) {
        FloatVector p = V_P10.fma(q, V_P9);
        p = p.fma(q, V_P8);
        p = p.fma(q, V_P7);
        p = p.fma(q, V_P6);
        p = p.fma(q, V_P5);
        p = p.fma(q, V_P4);
        p = p.fma(q, V_P3);
        p = p.fma(q, V_P2);
        p = p.fma(q, V_P1);
        return p.fma(q, V_P0);
    }

    static FloatVector min(FloatVector a, FloatVector limit) {
        return a.blend(limit, a.compare(VectorOperators.GT, limit));
    }

    static FloatVector max(FloatVector a, FloatVector limit) {
        return a.blend(limit, a.compare(VectorOperators.LT, limit));
    }

    static FloatVector relu(FloatVector a) {
        return a.blend(V_ZERO, a.compare(VectorOperators.LE, V_ZERO));
    }

    static FloatVector silu(FloatVector a, FloatVector alpha) {
        return a.mul(sigmoid(a.mul(alpha)));
    }

    static FloatVector geluTanh(FloatVector a) {
        return a.mul(sigmoid(a.mul(a.mul(a).fma(V_TANH_3, V_TANH_1))));
    }

    static FloatVector geluErf(FloatVector a) {
        return a.mul(normalCdf(a));
    }

    static FloatVector reluSlope(FloatVector a) {
        return V_ZERO.blend(V_ONE, a.compare(VectorOperators.GT, V_ZERO));
    }

    static FloatVector siluSlope(FloatVector z) {
        FloatVector e = exp(z.abs().neg());
        return plusSlope(sigmoid(z, e), z, sigmoidSlope(e));
    }

    static FloatVector geluTanhSlope(FloatVector a) {
        FloatVector square = a.mul(a);
        FloatVector z = a.mul(square.fma(V_TANH_3, V_TANH_1));
        FloatVector e = exp(z.abs().neg());
        FloatVector w = sigmoidSlope(e);
        FloatVector dz = square.fma(V_TANH_3_SLOPE, V_TANH_1);
        FloatVector s = sigmoid(z, e);
        return a.mul(w).fma(dz, s).blend(s, w.compare(VectorOperators.EQ, V_ZERO));
    }

    static FloatVector geluErfSlope(FloatVector a) {
        FloatVector m = magnitude(a);
        FloatVector density = gaussian(m);
        return plusSlope(normalCdf(a, m, density), a, density.mul(V_INV_SQRT_2PI));
    }

    /** value + x * slope, or value where the slope has vanished. */
    private static FloatVector plusSlope(FloatVector value, FloatVector x, FloatVector slope) {
        return x.fma(slope, value).blend(value, slope.compare(VectorOperators.EQ, V_ZERO));
    }
}
