// Activations in double, independent of activation.cuh, for the tests of kernels that apply them.
#pragma once

#include "activation.cuh"
#include "test_support.h"

namespace test {

using namespace dropless;

inline double function_of(const Activation &f, double a) {
    switch (f.function) {
        case kRelu: return a < 0 ? 0 : a;
        case kReluSquared: return a < 0 ? 0 : a * a;
        case kSilu: return a / (1 + std::exp(-f.alpha * a));
        case kGeluTanh: return 0.5 * a * (1 + std::tanh(std::sqrt(2 / M_PI) * (a + 0.044715 * a * a * a)));
        case kGeluErf: return 0.5 * a * std::erfc(-a * std::sqrt(0.5));
        default: return a;
    }
}

inline double gate_of(const Activation &f, double a) { return function_of(f, a > f.gate_max ? f.gate_max : a); }

inline double gate_slope_of(const Activation &f, double a) {
    if (a > f.gate_max) return 0;
    switch (f.function) {
        case kRelu: return a > 0 ? 1 : 0;
        case kReluSquared: return a < 0 ? 0 : 2 * a;
        case kIdentity: return 1;
        default: break;
    }
    if (std::isnan(a)) return a;
    double h = 1e-5;  // central difference, error about 1e-10
    return (function_of(f, a + h) - function_of(f, a - h)) / (2 * h);
}

inline double factor_of(const Activation &f, double b) {
    return (b > f.up_limit ? f.up_limit : b < -f.up_limit ? -f.up_limit : b) + f.up_offset;
}

inline double factor_slope_of(const Activation &f, double b) { return std::fabs(b) > f.up_limit ? 0 : 1; }

inline Activation random_activation(Random &random) {
    Activation f{random.below(6), 1, INFINITY, INFINITY, 0};
    if (random.flip()) {
        f.gate_max = 0.75;
        f.up_limit = 0.5;
        f.up_offset = 1;
    }
    if (f.function == kSilu && random.flip()) f.alpha = 1.702;
    return f;
}

// Error of an activation of a value of moderate size, before rounding.
inline double activation_tolerance(double y) { return 1e-5 * std::fabs(y) + 2e-6; }

}  // namespace test
