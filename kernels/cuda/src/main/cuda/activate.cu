// The activation alone, for paths that compute the products themselves.
//
//   activate            hidden = activation(pre)                          pre [M, F], or gated [M, 2F]: gate columns, then up columns
//   activate_backward   d_pre = d_hidden * activation'(pre)               shaped like pre; may be pre
//
// Any types, fp32 inside, one rounding.
//
// Names: dropless_activate, dropless_activate_backward. Launch: 256 threads, no dynamic shared memory, any grid; useful blocks are
// ceil(M * ceil(F / 8) / 256).
#include "activation.cuh"

namespace dropless {

struct ActivateArguments {
    Matrix pre;
    Matrix d_hidden;  // [M, F], or null in activate
    Matrix result;    // hidden [M, F], or d_pre
    Activation activation;
    int64_t rows, ffn_size, gated;
};

// Calls f(row, column, count) for every run of eight columns of a row.
template <class F> __device__ __forceinline__ void for_each_hidden_run(const ActivateArguments &args, F f) {
    int64_t runs = ceil_div(args.ffn_size, kRun);
    int64_t total = args.rows * runs;
    for (int64_t n = blockIdx.x * int64_t{256} + threadIdx.x; n < total; n += gridDim.x * int64_t{256}) {
        int64_t column = n % runs * kRun;
        f(n / runs, column, clamp_count(args.ffn_size - column, kRun));
    }
}

__device__ __forceinline__ void activate(const ActivateArguments &args) {
    ActivationMath math(args.activation);
    for_each_hidden_run(args, [&](int64_t row, int64_t column, int count) {
        float a[kRun], b[kRun] = {};
        int64_t index = row * args.pre.stride + column;
        load_run(args.pre.data, args.pre.type, index, count, a);
        if (args.gated) load_run(args.pre.data, args.pre.type, index + args.ffn_size, count, b);
#pragma unroll
        for (int i = 0; i < kRun; i++) a[i] = args.gated ? math.hidden(a[i], b[i]) : math.hidden(a[i]);
        store_run(args.result.data, args.result.type, row * args.result.stride + column, count, a);
    });
}

__device__ __forceinline__ void activate_backward(const ActivateArguments &args) {
    ActivationMath math(args.activation);
    for_each_hidden_run(args, [&](int64_t row, int64_t column, int count) {
        float a[kRun], b[kRun] = {}, g[kRun], d_a[kRun], d_b[kRun] = {};
        int64_t index = row * args.pre.stride + column;
        load_run(args.pre.data, args.pre.type, index, count, a);
        if (args.gated) load_run(args.pre.data, args.pre.type, index + args.ffn_size, count, b);
        load_run(args.d_hidden.data, args.d_hidden.type, row * args.d_hidden.stride + column, count, g);
#pragma unroll
        for (int i = 0; i < kRun; i++) {
            float value, slope;
            math.gate(a[i], value, slope);
            d_a[i] = g[i] * slope;
            if (args.gated) {
                d_a[i] *= math.factor(b[i]);
                d_b[i] = math.factor_slope(b[i]) == 0.f ? 0.f * g[i] : g[i] * value;
            }
        }
        index = row * args.result.stride + column;
        store_run(args.result.data, args.result.type, index, count, d_a);
        if (args.gated) store_run(args.result.data, args.result.type, index + args.ffn_size, count, d_b);
    });
}

}  // namespace dropless

extern "C" __global__ void __launch_bounds__(256) dropless_activate(const __grid_constant__ dropless::ActivateArguments args) {
    dropless::activate(args);
}

extern "C" __global__ void __launch_bounds__(256)
    dropless_activate_backward(const __grid_constant__ dropless::ActivateArguments args) {
    dropless::activate_backward(args);
}
