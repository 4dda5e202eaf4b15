// Activations of dev.dropless.blocksparse.Activation and their derivatives, in fp32.
//
//   plain:  h = f(min(a, gate_max))
//   gated:  h = f(min(a, gate_max)) * (clamp(b, -up_limit, up_limit) + up_offset)
//
// A limit itself still lies inside; beyond it the gradient is zero. NaN stays NaN, also through the limits.
#pragma once

#include "matrix.cuh"

namespace dropless {

enum ActivationFunction : int64_t { kIdentity, kRelu, kReluSquared, kSilu, kGeluTanh, kGeluErf };

// Argument of the kernels: five 64-bit words.
struct Activation {
    int64_t function;  // ordinal of Activation.Function in Java
    double alpha, gate_max, up_limit, up_offset;
};

// The constants in the precision the kernels compute in.
struct ActivationMath {
    int function;
    float alpha, gate_max, up_limit, up_offset;

    __device__ explicit ActivationMath(const Activation &a)
        : function(static_cast<int>(a.function)), alpha(static_cast<float>(a.alpha)), gate_max(static_cast<float>(a.gate_max)),
          up_limit(static_cast<float>(a.up_limit)), up_offset(static_cast<float>(a.up_offset)) {}

    static __device__ __forceinline__ float sigmoid(float u) { return 1.f / (1.f + expf(-u)); }

    // 2 sqrt(2/pi) (a + 0.044715 a^3), so that 1 + tanh of the half is twice the sigmoid of it.
    static __device__ __forceinline__ float gelu_inner(float a) { return 1.5957691216057308f * (a + 0.044715f * a * a * a); }

    // f and f' at a, which share their transcendental functions. Terms with a density in them are dropped once it is zero: for
    // huge a they would be 0 * infinity.
    __device__ __forceinline__ void function_and_slope(float a, float &value, float &slope) const {
        switch (function) {
            case kRelu:
                value = a < 0.f ? 0.f : a;
                slope = a > 0.f ? 1.f : 0.f;
                break;
            case kReluSquared:
                value = a < 0.f ? 0.f : a * a;
                slope = a < 0.f ? 0.f : 2.f * a;
                break;
            case kSilu:
            case kGeluTanh: {
                bool gelu = function == kGeluTanh;
                float u = gelu ? gelu_inner(a) : alpha * a;
                float s = sigmoid(u), ds = s * sigmoid(-u);  // sigmoid' without cancellation
                float du = gelu ? 1.5957691216057308f * (1.f + 0.134145f * a * a) : alpha;
                value = a * s;
                slope = ds == 0.f ? s : s + a * ds * du;
                break;
            }
            case kGeluErf: {
                float cdf = 0.5f * erfcf(-a * 0.70710678118654752f);
                float density = 0.39894228040143268f * expf(-0.5f * a * a);
                value = a * cdf;
                slope = density == 0.f ? cdf : cdf + a * density;
                break;
            }
            default:
                value = a;
                slope = 1.f;
        }
    }

    // f at min(a, gate_max), and its derivative by a.
    __device__ __forceinline__ void gate(float a, float &value, float &slope) const {
        function_and_slope(a > gate_max ? gate_max : a, value, slope);
        if (a > gate_max) slope = 0.f;
    }

    __device__ __forceinline__ float factor(float b) const {
        return (b > up_limit ? up_limit : b < -up_limit ? -up_limit : b) + up_offset;
    }

    __device__ __forceinline__ float factor_slope(float b) const { return b > up_limit || b < -up_limit ? 0.f : 1.f; }

    __device__ __forceinline__ float hidden(float a) const {
        float value, slope;
        gate(a, value, slope);
        return value;
    }

    __device__ __forceinline__ float hidden(float a, float b) const { return hidden(a) * factor(b); }

    // Sigmoid by the units for approximate exponentials and reciprocals: a relative error of some 2^-21.
    static __device__ __forceinline__ float fast_sigmoid(float u) { return __fdividef(1.f, 1.f + __expf(-u)); }

    // Replaces pre-activations by f(min(a, gate_max)). The function is chosen once for all of them: they stay in registers, in
    // which a loop would have to be written out with every function in it.
    template <int count> __device__ __forceinline__ void replace_by_gate(float (&a)[count]) const {
#pragma unroll
        for (int i = 0; i < count; i++) a[i] = a[i] > gate_max ? gate_max : a[i];
        switch (function) {
            case kRelu:
#pragma unroll
                for (int i = 0; i < count; i++) a[i] = a[i] < 0.f ? 0.f : a[i];
                break;
            case kReluSquared:
#pragma unroll
                for (int i = 0; i < count; i++) a[i] = a[i] < 0.f ? 0.f : a[i] * a[i];
                break;
            case kSilu:
#pragma unroll
                for (int i = 0; i < count; i++) a[i] *= fast_sigmoid(alpha * a[i]);
                break;
            case kGeluTanh:
#pragma unroll
                for (int i = 0; i < count; i++) a[i] *= fast_sigmoid(gelu_inner(a[i]));
                break;
            case kGeluErf:
#pragma unroll
                for (int i = 0; i < count; i++) a[i] *= 0.5f * erfcf(-a[i] * 0.70710678118654752f);
                break;
            default: break;
        }
    }
};

// Backward through an activation: g is the gradient of hidden before it is weighted; a and b are pre-activations and become their gradients;
// hidden is read or, to be recomputed, set to what is stored in its type. Returns hidden * g.
__device__ __forceinline__ float activation_backward(
    const ActivationMath &math, bool gated, bool recompute, int64_t hidden_type, float weight, float g, float &a, float &b,
    float &hidden) {
    float value, slope;
    math.gate(a, value, slope);
    float factor = gated ? math.factor(b) : 1.f;
    if (recompute) hidden = round_to(hidden_type, value * factor);
    float d_hidden = weight * g;
    a = d_hidden * (slope * factor);
    b = d_hidden * (math.factor_slope(b) == 0.f ? 0.f : value);
    return hidden * g;
}

}  // namespace dropless
