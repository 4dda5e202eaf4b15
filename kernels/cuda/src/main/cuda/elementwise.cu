// Elementwise work of a layer around its products: constants, the shared expert's gate, input noise, identity experts.
//
//   fill                   x = value
//   multiply               out (+)= a * b
//   sigmoid_gate           gate[t] = factor * sigmoid(s[t])
//   sigmoid_gate_backward  d[t] *= factor * p (1 - p) with p = gate[t] / factor: gradient of the gate into that of s, in place
//   identity_add           y[t] += factor * (sum of the weights of t's identity slots) * x[t]; tokens without such a slot are not touched
//   identity_dot           d[slot] = factor * <x[t], dY[t]> for identity slots; others are not touched
//
// fp32, rounded once on storing. No atomics. Names as above behind dropless_. Launch: 256 threads, no dynamic shared memory, any
// grid; useful blocks are ceil(elements / 256), for identity_dot ceil(T * k / 8).
#include "matrix.cuh"

namespace dropless {

constexpr int kElementThreads = 256;

__device__ __forceinline__ int64_t first_element() { return blockIdx.x * int64_t{kElementThreads} + threadIdx.x; }
__device__ __forceinline__ int64_t element_step() { return gridDim.x * int64_t{kElementThreads}; }
__device__ __forceinline__ float element(const Matrix &m, int64_t row, int64_t column) {
    return load_element(m.data, m.type, row * m.stride + column);
}
__device__ __forceinline__ void set_element(const Matrix &m, int64_t row, int64_t column, float value) {
    store_element(m.data, m.type, row * m.stride + column, value);
}

struct FillValueArguments {
    Matrix x;
    int64_t rows, columns;
    double value;
};

__device__ __forceinline__ void fill(const FillValueArguments &args) {
    for (int64_t i = first_element(); i < args.rows * args.columns; i += element_step()) {
        set_element(args.x, i / args.columns, i % args.columns, static_cast<float>(args.value));
    }
}

struct MultiplyArguments {
    Matrix a, b, out;
    int64_t rows, columns, accumulate;
};

__device__ __forceinline__ void multiply(const MultiplyArguments &args) {
    for (int64_t i = first_element(); i < args.rows * args.columns; i += element_step()) {
        int64_t row = i / args.columns, column = i % args.columns;
        float before = args.accumulate ? element(args.out, row, column) : 0.f;
        set_element(args.out, row, column, fmaf(element(args.a, row, column), element(args.b, row, column), before));
    }
}

struct GateArguments {
    Matrix gate;      // [T, 1]
    Matrix other;     // [T, 1]: s, or the gradient, which is changed
    int64_t tokens;
    double factor;
};

__device__ __forceinline__ void sigmoid_gate(const GateArguments &args) {
    for (int64_t t = first_element(); t < args.tokens; t += element_step()) {
        double s = element(args.other, t, 0);
        set_element(args.gate, t, 0, static_cast<float>(args.factor / (1 + exp(-s))));
    }
}

__device__ __forceinline__ void sigmoid_gate_backward(const GateArguments &args) {
    for (int64_t t = first_element(); t < args.tokens; t += element_step()) {
        double p = element(args.gate, t, 0) / args.factor;
        set_element(args.other, t, 0, static_cast<float>(element(args.other, t, 0) * args.factor * p * (1 - p)));
    }
}

struct IdentityAddArguments {
    const int *choice_ids;  // [T, k]; from num_experts on they are identity experts
    const float *weights;   // [T, k]
    int64_t tokens, top_k, num_experts;
    double factor;
    Matrix x, y;            // [T, columns]
    int64_t columns;
};

__device__ __forceinline__ void identity_add(const IdentityAddArguments &args) {
    for (int64_t i = first_element(); i < args.tokens * args.columns; i += element_step()) {
        int64_t token = i / args.columns, column = i % args.columns;
        double weight = 0;
        for (int64_t slot = token * args.top_k; slot < (token + 1) * args.top_k; slot++) {
            if (args.choice_ids[slot] >= args.num_experts) weight += args.weights[slot];
        }
        if (weight == 0) continue;
        double sum = element(args.y, token, column) + args.factor * weight * element(args.x, token, column);
        set_element(args.y, token, column, static_cast<float>(sum));
    }
}

struct IdentityDotArguments {
    const int *choice_ids;  // [T, k]
    int64_t tokens, top_k, num_experts;
    double factor;
    Matrix x, dy;           // [T, columns]
    int64_t columns;
    float *result;          // [T, k]
};

// A warp computes one slot: lanes take columns lane, lane + 32, ..., their sums are added pairwise.
__device__ __forceinline__ void identity_dot(const IdentityDotArguments &args) {
    int lane = threadIdx.x % 32;
    int64_t slots = args.tokens * args.top_k, warps = kElementThreads / 32;
    for (int64_t slot = blockIdx.x * warps + threadIdx.x / 32; slot < slots; slot += gridDim.x * warps) {
        if (args.choice_ids[slot] < args.num_experts) continue;
        int64_t token = slot / args.top_k;
        float sum = 0.f;
        for (int64_t c = lane; c < args.columns; c += 32) sum = fmaf(element(args.x, token, c), element(args.dy, token, c), sum);
#pragma unroll
        for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(kAllLanes, sum, distance);
        if (lane == 0) args.result[slot] = static_cast<float>(args.factor * sum);
    }
}

}  // namespace dropless

extern "C" __global__ void __launch_bounds__(dropless::kElementThreads)
    dropless_fill(const __grid_constant__ dropless::FillValueArguments args) {
    dropless::fill(args);
}
extern "C" __global__ void __launch_bounds__(dropless::kElementThreads)
    dropless_multiply(const __grid_constant__ dropless::MultiplyArguments args) {
    dropless::multiply(args);
}
extern "C" __global__ void __launch_bounds__(dropless::kElementThreads)
    dropless_sigmoid_gate(const __grid_constant__ dropless::GateArguments args) {
    dropless::sigmoid_gate(args);
}
extern "C" __global__ void __launch_bounds__(dropless::kElementThreads)
    dropless_sigmoid_gate_backward(const __grid_constant__ dropless::GateArguments args) {
    dropless::sigmoid_gate_backward(args);
}
extern "C" __global__ void __launch_bounds__(dropless::kElementThreads)
    dropless_identity_add(const __grid_constant__ dropless::IdentityAddArguments args) {
    dropless::identity_add(args);
}
extern "C" __global__ void __launch_bounds__(dropless::kElementThreads, 1)
    dropless_identity_dot(const __grid_constant__ dropless::IdentityDotArguments args) {
    dropless::identity_dot(args);
}
