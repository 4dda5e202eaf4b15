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

constexpr int kBytesAhead = 64;  // of a thread's loads under way together: one after the other they would leave much of the bandwidth unused

// Adds the weighted rows of one token, in these columns, in the order of their ranks.
template <class T>
__device__ __forceinline__ void add_rows(const CombineArguments &args, int64_t token, int64_t column, int count, float (&sum)[kRun]) {
    constexpr int packs = kRun * sizeof(T) / 16, ahead = kBytesAhead / 16 / packs;
    const T *rows = static_cast<const T *>(args.rows.data) + column;
    bool whole = count == kRun && ((reinterpret_cast<uintptr_t>(rows) | static_cast<uintptr_t>(args.rows.stride * sizeof(T))) & 15) == 0;
    int top_k = static_cast<int>(args.plan.top_k);
    for (int first = 0; first < top_k; first += ahead) {
        int row[ahead];
        float weight[ahead];
        Pack<unsigned> pack[ahead][packs] = {};  // as they come: 16-bit elements would not stay in registers
#pragma unroll
        for (int j = 0; j < ahead; j++) {
            int64_t slot = token * top_k + first + j;
            row[j] = first + j < top_k ? args.plan.row_of_slot[slot] : -1;
            weight[j] = row[j] >= 0 && args.weights != nullptr ? args.weights[slot] : 1.f;
        }
#pragma unroll
        for (int j = 0; j < ahead; j++) {
            if (!whole || row[j] < 0) continue;
            auto *source = reinterpret_cast<const Pack<unsigned> *>(rows + row[j] * args.rows.stride);
#pragma unroll
            for (int i = 0; i < packs; i++) pack[j][i] = source[i];
        }
#pragma unroll
        for (int j = 0; j < ahead; j++) {
            if (row[j] < 0) continue;
            float v[kRun];
            if (whole) {
                T element[kRun];
                memcpy(element, pack[j], sizeof element);
#pragma unroll
                for (int i = 0; i < kRun; i++) v[i] = to_float(element[i]);
            } else {
                load_run(rows + row[j] * args.rows.stride, count, v);
            }
#pragma unroll
            for (int i = 0; i < kRun; i++) sum[i] = fmaf(weight[j], v[i], sum[i]);
        }
    }
}

// A thread sums eight columns of one token.
__device__ __forceinline__ void combine(const CombineArguments &args) {
    int64_t runs = ceil_div(args.columns, kRun);
    int64_t total = args.plan.tokens * runs;
    for (int64_t n = blockIdx.x * int64_t{kThreads} + threadIdx.x; n < total; n += gridDim.x * int64_t{kThreads}) {
        int64_t token = n / runs, column = n % runs * kRun;
        int count = clamp_count(args.columns - column, kRun);
        float sum[kRun] = {};
        switch (args.rows.type) {
            case kBf16: add_rows<bf16>(args, token, column, count, sum); break;
            case kF16: add_rows<f16>(args, token, column, count, sum); break;
            default: add_rows<float>(args, token, column, count, sum); break;
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
