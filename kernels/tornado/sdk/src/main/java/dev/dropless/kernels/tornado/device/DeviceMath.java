package dev.dropless.kernels.tornado.device;

import uk.ac.manchester.tornado.api.math.TornadoMath;

/**
 * Activations in single precision, with nothing but the device's exponential function. Functions are numbered as
 * {@code Activation.Function} orders them.
 */
final class DeviceMath {

    private static final int IDENTITY = 0;
    private static final int RELU = 1;
    private static final int RELU_SQUARED = 2;
    private static final int SILU = 3;
    private static final int GELU_TANH = 4;

    /** gelu(a) = a sigmoid(a (TANH_1 + TANH_3 a^2)), from 1 + tanh(u) = 2 sigmoid(2u). */
    private static final float TANH_1 = 1.5957692f;

    private static final float TANH_3 = 0.071354814f;

    /** The normal tail and density are zero in single precision beyond this. */
    private static final float TAIL_END = 20;

    private static final float INV_SQRT_2PI = 0.3989423f;

    private DeviceMath() {}

    /** The smaller one; NaN stays. */
    static float min(float a, float limit) {
        return a > limit ? limit : a;
    }

    /** clamp(b, -limit, limit) + offset; NaN stays. */
    static float clamped(float b, float limit, float offset) {
        float low = b < -limit ? -limit : b;
        return (low > limit ? limit : low) + offset;
    }

    private static float magnitude(float a) {
        float m = a < 0 ? -a : a;
        return m > TAIL_END ? TAIL_END : m;
    }

    /** 1 / (1 + e^-z) without overflow. */
    static float sigmoid(float z) {
        float e = TornadoMath.exp(z < 0 ? z : -z);
        return (z >= 0 ? 1 : e) / (1 + e);
    }

    /** sigmoid'(z) = e^-|z| / (1 + e^-|z|)^2. */
    static float sigmoidSlope(float z) {
        float e = TornadoMath.exp(z < 0 ? z : -z);
        float d = 1 + e;
        return e / (d * d);
    }

    /** exp(-m^2 / 2) with m in two parts, so that the square of the first is exact. */
    static float gaussian(float m) {
        float high = ((int) (m * 16)) * 0.0625f;
        float rest = (m - high) * (m + high);
        return TornadoMath.exp(-0.5f * high * high) * TornadoMath.exp(-0.5f * rest);
    }

    /**
     * Phi(a), the normal distribution function, from Phi(-m) = exp(-m^2/2) P((m - 4) / (m + 4)) / (1 + 2m), whose form is
     * that of Shepherd and Laframboise (Math. Comp. 36, 1981); P fits m = 0..15 with relative error 4e-9.
     */
    static float normalCdf(float a) {
        float m = magnitude(a);
        float q = (m - 4) / (m + 4);
        float p = -0x1.3c0930p-13f;
        p = p * q + -0x1.19281ep-14f;
        p = p * q + 0x1.980a3ep-10f;
        p = p * q + -0x1.4971dep-10f;
        p = p * q + -0x1.5872c8p-7f;
        p = p * q + 0x1.6b8738p-5f;
        p = p * q + -0x1.862f38p-4f;
        p = p * q + 0x1.08005ep-3f;
        p = p * q + -0x1.8ac5ccp-4f;
        p = p * q + -0x1.78fb92p-6f;
        p = p * q + 0x1.b30b54p-1f;
        float tail = gaussian(m) * p / (2 * m + 1);
        return a >= 0 ? 1 - tail : tail;
    }

    /** f(a). */
    static float value(int function, float alpha, float a) {
        float positive = a <= 0 ? 0 : a;
        float result = a;
        if (function == RELU) {
            result = positive;
        } else if (function == RELU_SQUARED) {
            result = positive * positive;
        } else if (function == SILU) {
            result = a * sigmoid(alpha * a);
        } else if (function == GELU_TANH) {
            result = a * sigmoid(a * (TANH_1 + TANH_3 * a * a));
        } else if (function != IDENTITY) {
            result = a * normalCdf(a);
        }
        return result;
    }

    /** f'(a). Where a slope has vanished its factor is left out: it may be infinite. */
    static float slope(int function, float alpha, float a) {
        float result = 1;
        if (function == RELU) {
            result = a > 0 ? 1 : 0;
        } else if (function == RELU_SQUARED) {
            result = a <= 0 ? 0 : 2 * a;
        } else if (function == SILU) {
            float z = alpha * a;
            float w = sigmoidSlope(z);
            result = w == 0 ? sigmoid(z) : sigmoid(z) + z * w;
        } else if (function == GELU_TANH) {
            float z = a * (TANH_1 + TANH_3 * a * a);
            float w = sigmoidSlope(z);
            result = w == 0 ? sigmoid(z) : sigmoid(z) + a * w * (TANH_1 + 3 * TANH_3 * a * a);
        } else if (function != IDENTITY) {
            float density = INV_SQRT_2PI * gaussian(magnitude(a));
            result = density == 0 ? normalCdf(a) : normalCdf(a) + a * density;
        }
        return result;
    }
}
