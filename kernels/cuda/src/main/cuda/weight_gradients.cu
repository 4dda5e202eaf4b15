// Gradients of the experts' weights: products summed over the rows of an expert.
//
//   up_wgrad     dW_e (+)= sum over rows r of e of (v[s] dPre[r])^T x[t]        [P, H]: dPre rows consecutive, x gathered
//   down_wgrad   dD_e (+)= sum over rows r of e of (w[s] dY[t])^T hidden[r]     [H, F]: dY gathered, hidden consecutive
//   bias_grad    db_e (+)= sum over rows r of e of w[s] m[r or t]               [columns]
//
// Rows are summed in order, by one block per tile: deterministic, no atomics. With `accumulate` experts without rows are not
// touched, without it they are set to zero. Rows of other experts enter neither as values nor as zeros times values.
// Where there are weights of slots, the bf16 and f16 kernels round the weighted left operand to its type.
//
// Names: dropless_{up_wgrad,down_wgrad}_<f32|bf16|f16> (type of both operands) and dropless_bias_grad (any types).
//
// Launch: products 256 threads, TileShared bytes of dynamic shared memory, any grid; useful blocks are at most
// E * ceil(rows of a gradient / 128) * ceil(columns / 128). bias_grad: 256 threads, BiasShared bytes, any grid; useful are
// E * ceil(columns / 32).
#include "plan.cuh"

namespace dropless {

struct WeightGradientArguments {
    Plan plan;
    Matrix left;         // dPre [N, P] or dY [T, H], type of the kernel
    Matrix right;        // x [T, H] or hidden [N, F], type of the kernel
    const float *scale;  // v or w [T * k], or null
    void *gradient;      // [E, rows, columns] dense
    int64_t gradient_type, rows, columns, accumulate;
};

template <class T, class LeftRows, class RightRows> struct WeightGradientJob {
    const WeightGradientArguments &args;

    struct Tile {
        int expert;
        int rows;  // of the gradient, in this tile
        int64_t row, column;
        int first_row, depth;  // the expert's rows
    };

    __device__ int64_t row_tiles() const { return ceil_div(args.rows, kTile); }
    __device__ int64_t column_tiles() const { return ceil_div(args.columns, kTile); }
    __device__ int64_t tiles() const { return args.plan.num_experts * row_tiles() * column_tiles(); }

    __device__ Tile tile(int64_t n) const {
        int64_t per_expert = row_tiles() * column_tiles();
        int expert = static_cast<int>(n / per_expert);
        TileOrder order(n % per_expert, row_tiles(), column_tiles());
        int first = args.plan.offsets[expert], depth = args.plan.offsets[expert + 1] - first;
        bool untouched = depth == 0 && args.accumulate;
        int rows = untouched ? 0 : clamp_count(args.rows - order.row * kTile, kTile);
        return {expert, rows, order.row * kTile, order.column * kTile, first, depth};
    }

    __device__ auto product(const Tile &tile) const {
        int columns = clamp_count(args.columns - tile.column, kTile);
        Operand<T, LeftRows> a{
            static_cast<const T *>(args.left.data) + tile.row, args.left.stride, summed_rows(tile, LeftRows{}), tile.rows};
        Operand<T, RightRows> b{
            static_cast<const T *>(args.right.data) + tile.column, args.right.stride, summed_rows(tile, RightRows{}), columns};
        return Product<decltype(a), decltype(b)>{a, b, tile.depth, args.scale, args.plan.slot_of_row + tile.first_row};
    }

    __device__ ConsecutiveRows summed_rows(const Tile &tile, ConsecutiveRows) const { return {tile.first_row, tile.depth}; }
    __device__ GatheredRows summed_rows(const Tile &tile, GatheredRows) const {
        return {args.plan.token_of_row + tile.first_row, tile.depth};
    }

    __device__ void write(const Tile &tile, const float *sums) const {
        for_each_run<kTile>([&](int row, int column) {
            int count = clamp_count(args.columns - tile.column - column, kRun);
            if (!stores_row(row, tile.rows) || count == 0) return;
            int64_t index = (tile.expert * args.rows + tile.row + row) * args.columns + tile.column + column;
            float v[kRun];
            read_sums(sums, row, column, v);
            if (args.accumulate) add_run(args.gradient, args.gradient_type, index, count, v);
            store_run(args.gradient, args.gradient_type, index, count, v);
        });
    }
};

constexpr int kBiasColumns = 32;

struct BiasShared {
    float sums[kThreads / kBiasColumns][kBiasColumns];
};

struct BiasGradientArguments {
    Plan plan;
    Matrix source;       // [N, columns], or [T, columns] where by_token is not 0
    const float *scale;  // [T * k], or null
    Matrix gradient;     // [E, columns]
    int64_t columns, by_token, accumulate;
};

// Thread (lane, column) sums every eighth row of the expert; the eight sums are added in order.
__device__ __forceinline__ void bias_gradient(const BiasGradientArguments &args) {
    SHARED_MEMORY(BiasShared, shared);
    constexpr int lanes = kThreads / kBiasColumns;
    int lane = threadIdx.x / kBiasColumns, in_tile = threadIdx.x % kBiasColumns;
    int64_t column_tiles = ceil_div(args.columns, kBiasColumns);
    for (int64_t n = blockIdx.x; n < args.plan.num_experts * column_tiles; n += gridDim.x) {
        int64_t expert = n / column_tiles, column = n % column_tiles * kBiasColumns + in_tile;
        int first = args.plan.offsets[expert], last = args.plan.offsets[expert + 1];
        float sum = 0.f;
        if (column < args.columns) {
            for (int row = first + lane; row < last; row += lanes) {
                int64_t from = args.by_token ? args.plan.token_of_row[row] : row;
                float value = load_element(args.source.data, args.source.type, from * args.source.stride + column);
                sum = fmaf(args.scale != nullptr ? args.scale[args.plan.slot_of_row[row]] : 1.f, value, sum);
            }
        }
        shared.sums[lane][in_tile] = sum;
        __syncthreads();
        bool untouched = first == last && args.accumulate;
        if (lane == 0 && column < args.columns && !untouched) {
            for (int i = 1; i < lanes; i++) sum += shared.sums[i][in_tile];
            int64_t index = expert * args.gradient.stride + column;
            if (args.accumulate) sum += load_element(args.gradient.data, args.gradient.type, index);
            store_element(args.gradient.data, args.gradient.type, index, sum);
        }
        __syncthreads();
    }
}

}  // namespace dropless

#define WEIGHT_GRADIENT_KERNELS(suffix, Engine, T)                                                                           \
    extern "C" __global__ void __launch_bounds__(dropless::kThreads, dropless::kBlocksPerMultiprocessor) \
        dropless_up_wgrad_##suffix(const __grid_constant__ dropless::WeightGradientArguments args) {                         \
        using namespace dropless;                                                                                            \
        run_tiles<Engine, Layout::kWideMajor, Layout::kWideMajor>(WeightGradientJob<T, ConsecutiveRows, GatheredRows>{args}); \
    }                                                                                                                        \
    extern "C" __global__ void __launch_bounds__(dropless::kThreads, dropless::kBlocksPerMultiprocessor) \
        dropless_down_wgrad_##suffix(const __grid_constant__ dropless::WeightGradientArguments args) {                       \
        using namespace dropless;                                                                                            \
        run_tiles<Engine, Layout::kWideMajor, Layout::kWideMajor>(WeightGradientJob<T, GatheredRows, ConsecutiveRows>{args}); \
    }

WEIGHT_GRADIENT_KERNELS(f32, FloatUnits, float)
WEIGHT_GRADIENT_KERNELS(bf16, TensorCore<bf16>, bf16)
WEIGHT_GRADIENT_KERNELS(f16, TensorCore<f16>, f16)

extern "C" __global__ void __launch_bounds__(dropless::kThreads)
    dropless_bias_grad(const __grid_constant__ dropless::BiasGradientArguments args) {
    dropless::bias_gradient(args);
}
