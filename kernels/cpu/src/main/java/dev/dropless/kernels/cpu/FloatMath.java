package dev.dropless.kernels.cpu;

/**
 * Elementary functions in single precision, written as sequences of exactly rounded operations so that {@link VectorMath}, which does the same on
 * vectors, gives the same bits. Errors are within 2 units in the last place for exp, and a few for the functions built on it.
 */
final class FloatMath {

    static final float LOG2_E = 0x1.715476p0f;
    /** ln 2 in two parts; n * LN2_HIGH is exact for |n| < 2^9. */
    static final float LN2_HIGH = 0x1.62e4p-1f;

    static final float LN2_LOW = (float) (Math.log(2) - 0x1.62e4p-1);
    /** 1.5 * 2^23: adding it rounds to an integer, which then stands in the low bits. */
    static final float ROUND = 0x1.8p23f;

    static final int ROUND_BITS = Float.floatToRawIntBits(ROUND);
    /** exp of more is infinite, of less zero. */
    static final float EXP_MAX = 89;

    static final float EXP_MIN = -105;
    /** Taylor coefficients of exp from degree 7 to 2: the error at ln(2)/2 is 5e-9. */
    static final float E7 = 1f / 5040;

    static final float E6 = 1f / 720;
    static final float E5 = 1f / 120;
    static final float E4 = 1f / 24;
    static final float E3 = 1f / 6;
    static final float E2 = 1f / 2;

    /** gelu(a) = a sigmoid(a (TANH_1 + TANH_3 a^2)), from 1 + tanh(u) = 2 sigmoid(2u). */
    static final float TANH_1 = (float) (2 * Math.sqrt(2 / Math.PI));

    static final float TANH_3 = (float) (2 * Math.sqrt(2 / Math.PI) * 0.044715);
    /** Derivative of the cubic term. */
    static final float TANH_3_SLOPE = (float) (3 * 2 * Math.sqrt(2 / Math.PI) * 0.044715);

    /** The normal tail and density are zero in single precision beyond this. */
    static final float TAIL_END = 20;

    static final float INV_SQRT_2PI = (float) (1 / Math.sqrt(2 * Math.PI));
    /**
     * Coefficients of P in Phi(-m) = exp(-m^2/2) P((m - 4) / (m + 4)) / (1 + 2m), a least-squares fit on Chebyshev nodes over m = 0..15 with
     * relative error 4e-9; the form is that of Shepherd and Laframboise (Math. Comp. 36, 1981) for exp(x^2) erfc(x).
     */
    static final float P0 = 0x1.b30b54p-1f;

    static final float P1 = -0x1.78fb92p-6f;
    static final float P2 = -0x1.8ac5ccp-4f;
    static final float P3 = 0x1.08005ep-3f;
    static final float P4 = -0x1.862f38p-4f;
    static final float P5 = 0x1.6b8738p-5f;
    static final float P6 = -0x1.5872c8p-7f;
    static final float P7 = -0x1.4971dep-10f;
    static final float P8 = 0x1.980a3ep-10f;
    static final float P9 = -0x1.19281ep-14f;
    static final float P10 = -0x1.3c0930p-13f;

    private FloatMath() {}

    /** e^x by 2^n e^r with |r| <= ln(2)/2; infinite on overflow, rounded once to a subnormal number on underflow. */
    static float exp(float value) {
        float x = value > EXP_MAX ? EXP_MAX : value;
        x = x < EXP_MIN ? EXP_MIN : x;
        float shifted = Math.fma(x, LOG2_E, ROUND);
        float n = shifted - ROUND;
        float r = Math.fma(n, -LN2_HIGH, x);
        r = Math.fma(n, -LN2_LOW, r);
        float p = Math.fma(E7, r, E6);
        p = Math.fma(p, r, E5);
        p = Math.fma(p, r, E4);
        p = Math.fma(p, r, E3);
        p = Math.fma(p, r, E2);
        p = Math.fma(p, r, 1);
        p = Math.fma(p, r, 1);
        int exponent = Float.floatToRawIntBits(shifted) - ROUND_BITS;
        int half = exponent >> 1; // 2^n alone may lie outside the range of floats
        return p * powerOfTwo(half) * powerOfTwo(exponent - half);
    }

    private static float powerOfTwo(int exponent) {
        return Float.intBitsToFloat((exponent + 127) << 23);
    }

    /** 1 / (1 + e^-z) without overflow. */
    static float sigmoid(float z) {
        float e = exp(-Math.abs(z));
        return (z >= 0 ? 1 : e) / (1 + e);
    }

    /** sigmoid'(z) = e^-|z| / (1 + e^-|z|)^2. */
    static float sigmoidSlope(float z) {
        float e = exp(-Math.abs(z));
        float d = 1 + e;
        return e / (d * d);
    }

    /** exp(-m^2 / 2), with the rounding error of m^2 put back. */
    static float gaussian(float m) {
        float square = m * m;
        float error = Math.fma(m, m, -square);
        float e = exp(-0.5f * square);
        return Math.fma(-0.5f * e, error, e);
    }

    /** |a|, cut off where tail and density have vanished. */
    static float magnitude(float a) {
        float m = Math.abs(a);
        return m > TAIL_END ? TAIL_END : m;
    }

    /** Phi(a), the normal distribution function: (1 + erf(a / sqrt(2))) / 2. */
    static float normalCdf(float a) {
        float m = magnitude(a);
        float q = (m - 4) / (m + 4);
        float p = Math.fma(P10, q, P9);
        p = Math.fma(p, q, P8);
        p = Math.fma(p, q, P7);
        p = Math.fma(p, q, P6);
        p = Math.fma(p, q, P5);
        p = Math.fma(p, q, P4);
        p = Math.fma(p, q, P3);
        p = Math.fma(p, q, P2);
        p = Math.fma(p, q, P1);
        p = Math.fma(p, q, P0);
        float tail = gaussian(m) * p / Math.fma(2, m, 1);
        return a >= 0 ? 1 - tail : tail;
    }

    static float min(float a, float limit) {
        return a > limit ? limit : a; // NaN stays
    }

    static float max(float a, float limit) {
        return a < limit ? limit : a;
    }

    /** max(a, 0); NaN stays. */
    static float relu(float a) {
        return a <= 0 ? 0 : a;
    }

    /** f(a). */
    static float value(FloatActivation activation, float a) {
        return switch (activation.function()) {
            case IDENTITY -> a;
            case RELU -> relu(a);
            case RELU_SQUARED -> relu(a) * relu(a);
            case SILU -> a * sigmoid(activation.alpha() * a);
            case GELU_TANH -> a * sigmoid(a * Math.fma(a * a, TANH_3, TANH_1));
            case GELU_ERF -> a * normalCdf(a);
        };
    }

    /** f'(a). Where a slope has vanished its factor is left out: it may be infinite. */
    static float slope(FloatActivation activation, float a) {
        return switch (activation.function()) {
            case IDENTITY -> 1;
            case RELU -> a > 0 ? 1 : 0;
            case RELU_SQUARED -> 2 * relu(a);
            case SILU -> {
                float z = activation.alpha() * a;
                float w = sigmoidSlope(z);
                yield w == 0 ? sigmoid(z) : Math.fma(z, w, sigmoid(z));
            }
            case GELU_TANH -> {
                float square = a * a;
                float z = a * Math.fma(square, TANH_3, TANH_1);
                float w = sigmoidSlope(z);
                float dz = Math.fma(square, TANH_3_SLOPE, TANH_1);
                yield w == 0 ? sigmoid(z) : Math.fma(a * w, dz, sigmoid(z));
            }
            case GELU_ERF -> {
                float density = INV_SQRT_2PI * gaussian(magnitude(a));
                yield density == 0 ? normalCdf(a) : Math.fma(a, density, normalCdf(a));
            }
        };
    }

    /** f(min(a, gateMax)). */
    static float hidden(FloatActivation activation, float a) {
        return value(activation, min(a, activation.gateMax()));
    }

    /** Its derivative, zero above gateMax. */
    static float dHidden(FloatActivation activation, float a) {
        return a > activation.gateMax() ? 0 : slope(activation, a);
    }

    /** clamp(b, -upLimit, upLimit) + upOffset. */
    static float up(FloatActivation activation, float b) {
        return max(min(b, activation.upLimit()), -activation.upLimit()) + activation.upOffset();
    }

    /** Sum of the partial sums of a dot product: halves are added until one is left. */
    static float sumLanes(float[] lanes) {
        for (int half = TileKernels.DOT_LANES / 2; half > 0; half /= 2) {
            for (int i = 0; i < half; i++) {
                lanes[i] += lanes[i + half];
            }
        }
        return lanes[0];
    }
}
