// Sums over each token's rows, and gradients of the weights of slots.
//
//   combine    y[t] (+)= sum over j = 0..k-1 of w[t,j] rows[row(t,j)]        combine of the experts' outputs, and the backward of
//                                                                            the gather (aggregate); any types
//   slot_dot   d[s] = sum over tiles of partial[tile][r]  +  <left[t], right[r or e]>     0 for a slot without a row
//              gradient of a combine weight (partial of down_dgrad; left dY, right the output bias, by expert) and of an input
//              weight (no partial; left x, right dRows, by row)
//
// Rank order, fp32, one rounding; slots without a row contribute nothing; no atomics.
//
// Names: dropless_combine, dropless_slot_dot. Launch: 256 threads, no dynamic shared memory, any grid; useful blocks are
// ceil(T * ceil(columns / 8) / 256) and ceil(T * k / 8).
#include "plan.cuh"

namespace dropless {

struct CombineArguments {
    Plan plan;
    Matrix rows;          // [N, columns]
    const float *weights; // [T * k], or null for ones
    Matrix y;             // [T, columns]
    int64_t columns, accumulate;
};

// A thread sums eight columns of one token.
__device__ __forceinline__ void combine(const CombineArguments &args) {
    int64_t runs = ceil_div(args.columns, kRun);
    int64_t total = args.plan.tokens * runs;
    int top_k = static_cast<int>(args.plan.top_k);
    for (int64_t n = blockIdx.x * int64_t{kThreads} + threadIdx.x; n < total; n += gridDim.x * int64_t{kThreads}) {
        int64_t token = n / runs, column = n % runs * kRun;
        int count = clamp_count(args.columns - column, kRun);
        float sum[kRun] = {};
        for (int j = 0; j < top_k; j++) {
            int64_t slot = token * top_k + j;
            int64_t row = args.plan.row_of_slot[slot];
            if (row < 0) continue;
            float weight = args.weights != nullptr ? args.weights[slot] : 1.f;
            float v[kRun];
            load_run(args.rows.data, args.rows.type, row * args.rows.stride + column, count, v);
#pragma unroll
            for (int i = 0; i < kRun; i++) sum[i] = fmaf(weight, v[i], sum[i]);
        }
        int64_t index = token * args.y.stride + column;
        if (args.accumulate) add_run(args.y.data, args.y.type, index, count, sum);
        store_run(args.y.data, args.y.type, index, count, sum);
    }
}

struct SlotDotArguments {
    Plan plan;
    const float *partial;  // [partial_tiles, T * k] by (tile, row), or null
    int64_t partial_tiles;
    Matrix left;           // [T, columns], or null
    Matrix right;          // [N, columns], or [E, columns] where by_expert is not 0
    int64_t columns, by_expert;
    float *result;         // [T * k]
};

// A warp computes one slot: lanes take columns lane, lane + 32, ..., their sums are added pairwise.
__device__ __forceinline__ void slot_dot(const SlotDotArguments &args) {
    int lane = threadIdx.x % 32;
    int64_t slots = args.plan.tokens * args.plan.top_k;
    int64_t first = blockIdx.x * int64_t{kThreads / 32} + threadIdx.x / 32;
    for (int64_t slot = first; slot < slots; slot += gridDim.x * int64_t{kThreads / 32}) {
        int row = args.plan.row_of_slot[slot];
        float sum = 0.f;
        if (row >= 0 && args.left.data != nullptr) {
            int64_t left = slot / args.plan.top_k * args.left.stride;
            int expert = args.by_expert ? segment_of(args.plan.offsets, static_cast<int>(args.plan.num_experts), row) : 0;
            int64_t right = (args.by_expert ? expert : row) * args.right.stride;
            for (int64_t c = lane; c < args.columns; c += 32) {
                float x = load_element(args.left.data, args.left.type, left + c);
                sum = fmaf(x, load_element(args.right.data, args.right.type, right + c), sum);
            }
        }
#pragma unroll
        for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(kAllLanes, sum, distance);
        if (lane == 0) {
            if (row >= 0 && args.partial != nullptr) {
                for (int64_t tile = 0; tile < args.partial_tiles; tile++) sum += args.partial[tile * slots + row];
            }
            args.result[slot] = sum;
        }
    }
}

}  // namespace dropless

extern "C" __global__ void __launch_bounds__(dropless::kThreads)
    dropless_combine(const __grid_constant__ dropless::CombineArguments args) {
    dropless::combine(args);
}

extern "C" __global__ void __launch_bounds__(dropless::kThreads)
    dropless_slot_dot(const __grid_constant__ dropless::SlotDotArguments args) {
    dropless::slot_dot(args);
}
