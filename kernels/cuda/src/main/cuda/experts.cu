// Products of the experts' rows with their weights: up-projection, down-projection and the two data gradients.
//
// Notation: T tokens, H hidden size, F expert width, P = F or, gated, 2 F, E experts, k slots per token, N rows; row r belongs to
// token t(r), slot s(r), expert e(r); w and v are weights of slots.
//
//   up            pre[r] = v[s] x[t] W_e^T + b_e;  hidden[r] = activation(pre[r])      W_e [P, H]: F gate rows, then F up rows
//   down          out[r] = hidden[r] D_e^T + c_e                                       D_e [H, F]
//   down_dgrad    g[r] = dY[t] D_e;  dPre[r] = w[s] g[r] activation'(pre[r]);  partial[tile][r] = sum of hidden[r] g[r] over
//                 the tile's 128 columns (summed up by slot_dot of combine.cu)
//   up_dgrad      dRows[r] = dPre[r] W_e
//
// Names: dropless_<operation>_<f32|bf16|f16>; the suffix is the type of both operands of the product. Everything else has its own
// type. Sums are fp32, each output is rounded once; hidden comes from the unrounded pre.
//
// Launch (all): 256 threads, TileShared bytes of dynamic shared memory, any grid; tiles, and so useful blocks, are at most
// (tiles of the plan) * ceil(columns / width), width 64 for a gated up-projection, else 128. Nothing is done where N = 0.
// Operands whose address and row stride are multiples of 16 bytes are copied by 16 bytes, others slower; results are the same.
//
// Build: see build-kernels.sh.
#include "activation.cuh"
#include "plan.cuh"

namespace dropless {

struct UpArguments {
    Plan plan;
    Matrix x;               // [T, H], type of the kernel
    const float *scale;     // v [T * k], or null
    const void *weights;    // W [E, P, H] dense, type of the kernel
    Matrix bias;            // b [E, P], or null; stride is P or more
    Matrix pre;             // [N, P], or null
    Matrix hidden;          // [N, F]
    Activation activation;
    int64_t hidden_size, ffn_size, gated;
};

template <class T> struct UpJob : ExpertTiles {
    const UpArguments &args;
    ActivationMath math;

    __device__ explicit UpJob(const UpArguments &a)
        : ExpertTiles{a.plan, ceil_div(a.ffn_size, a.gated ? kTile / 2 : kTile)}, args(a), math(a.activation) {}

    __device__ int width() const { return args.gated ? kTile / 2 : kTile; }

    __device__ auto product(const ExpertTile &tile) const {
        int64_t first = tile.column_tile * width();
        int count = clamp_count(args.ffn_size - first, width());
        int depth = static_cast<int>(args.hidden_size);
        int64_t weights_per_expert = (args.gated ? 2 : 1) * args.ffn_size * args.hidden_size;
        const T *weights = static_cast<const T *>(args.weights) + tile.expert * weights_per_expert;
        Operand<T, GatheredRows> a{
            static_cast<const T *>(args.x.data), args.x.stride, {args.plan.token_of_row + tile.first_row, tile.rows}, depth};
        Operand<T, GateAndUpRows> b{weights, args.hidden_size, {first, up_distance(), count, width()}, depth};
        return Product<decltype(a), decltype(b)>{a, b, depth};
    }

    __device__ int64_t up_distance() const { return args.gated ? args.ffn_size : 0; }

    __device__ void write(const ExpertTile &tile, const float *sums) const {
        if (args.gated) {
            for_each_run<kTile / 2>([&](int row, int column) { write_gated(tile, sums, row, column); });
        } else {
            for_each_run<kTile>([&](int row, int column) { write_plain(tile, sums, row, column); });
        }
    }

    // v * sum + b, stored as pre-activations from `column` on.
    __device__ __forceinline__ void pre_activation(
        const ExpertTile &tile, int64_t row, int64_t column, int count, float (&v)[kRun]) const {
        if (args.scale != nullptr) {
            float scale = args.scale[args.plan.slot_of_row[row]];
#pragma unroll
            for (int i = 0; i < kRun; i++) v[i] *= scale;
        }
        if (args.bias.data != nullptr) {
            add_run(args.bias.data, args.bias.type, tile.expert * args.bias.stride + column, count, v);
        }
        if (args.pre.data != nullptr) store_run(args.pre.data, args.pre.type, row * args.pre.stride + column, count, v);
    }

    __device__ __forceinline__ void write_plain(const ExpertTile &tile, const float *sums, int row, int column) const {
        int64_t f = tile.column_tile * kTile + column;
        int count = clamp_count(args.ffn_size - f, kRun);
        if (!stores_row(row, tile.rows) || count == 0) return;
        float a[kRun];
        read_sums(sums, row, column, a);
        pre_activation(tile, tile.first_row + row, f, count, a);
#pragma unroll
        for (int i = 0; i < kRun; i++) a[i] = math.hidden(a[i]);
        store_run(args.hidden.data, args.hidden.type, (tile.first_row + row) * args.hidden.stride + f, count, a);
    }

    __device__ __forceinline__ void write_gated(const ExpertTile &tile, const float *sums, int row, int column) const {
        int64_t f = tile.column_tile * (kTile / 2) + column;
        int count = clamp_count(args.ffn_size - f, kRun);
        if (!stores_row(row, tile.rows) || count == 0) return;
        float a[kRun], b[kRun];
        read_sums(sums, row, column, a);
        read_sums(sums, row, column + kTile / 2, b);
        pre_activation(tile, tile.first_row + row, f, count, a);
        pre_activation(tile, tile.first_row + row, args.ffn_size + f, count, b);
#pragma unroll
        for (int i = 0; i < kRun; i++) a[i] = math.hidden(a[i], b[i]);
        store_run(args.hidden.data, args.hidden.type, (tile.first_row + row) * args.hidden.stride + f, count, a);
    }
};

struct DownArguments {
    Plan plan;
    Matrix hidden;          // [N, F], type of the kernel
    const void *weights;    // D [E, H, F] dense, type of the kernel
    Matrix bias;            // c [E, H], or null
    Matrix out;             // [N, H]
    int64_t hidden_size, ffn_size;
};

template <class T> struct DownJob : ExpertTiles {
    const DownArguments &args;

    __device__ explicit DownJob(const DownArguments &a)
        : ExpertTiles{a.plan, ceil_div(a.hidden_size, kTile)}, args(a) {}

    __device__ auto product(const ExpertTile &tile) const {
        int64_t first = tile.column_tile * kTile;
        int depth = static_cast<int>(args.ffn_size);
        const T *weights = static_cast<const T *>(args.weights) + tile.expert * args.hidden_size * args.ffn_size;
        Operand<T, ConsecutiveRows> a{
            static_cast<const T *>(args.hidden.data), args.hidden.stride, {tile.first_row, tile.rows}, depth};
        Operand<T, ConsecutiveRows> b{
            weights, args.ffn_size, {first, clamp_count(args.hidden_size - first, kTile)}, depth};
        return Product<decltype(a), decltype(b)>{a, b, depth};
    }

    __device__ void write(const ExpertTile &tile, const float *sums) const {
        for_each_run<kTile>([&](int row, int column) {
            int64_t h = tile.column_tile * kTile + column;
            int count = clamp_count(args.hidden_size - h, kRun);
            if (!stores_row(row, tile.rows) || count == 0) return;
            float v[kRun];
            read_sums(sums, row, column, v);
            if (args.bias.data != nullptr) {
                add_run(args.bias.data, args.bias.type, tile.expert * args.bias.stride + h, count, v);
            }
            store_run(args.out.data, args.out.type, (tile.first_row + row) * args.out.stride + h, count, v);
        });
    }
};

struct DownDgradArguments {
    Plan plan;
    Matrix d_y;             // [T, H], type of the kernel
    const float *scale;     // w [T * k], or null
    const void *weights;    // D [E, H, F] dense, type of the kernel
    Matrix pre;             // [N, P]
    Matrix hidden;          // [N, F]: read, or written where recompute is not 0
    Matrix d_pre;           // [N, P]; may be pre
    float *partial;         // [ceil(F / 128), T * k] by (column tile, row), or null
    Activation activation;
    int64_t hidden_size, ffn_size, gated, recompute;
};

template <class T> struct DownDgradJob : ExpertTiles {
    const DownDgradArguments &args;
    ActivationMath math;

    __device__ explicit DownDgradJob(const DownDgradArguments &a)
        : ExpertTiles{a.plan, ceil_div(a.ffn_size, kTile)}, args(a), math(a.activation) {}

    __device__ auto product(const ExpertTile &tile) const {
        int64_t first = tile.column_tile * kTile;
        int depth = static_cast<int>(args.hidden_size);
        const T *weights = static_cast<const T *>(args.weights) + tile.expert * args.hidden_size * args.ffn_size + first;
        Operand<T, GatheredRows> a{
            static_cast<const T *>(args.d_y.data), args.d_y.stride, {args.plan.token_of_row + tile.first_row, tile.rows}, depth};
        Operand<T, ConsecutiveRows> b{weights, args.ffn_size, {0, depth}, clamp_count(args.ffn_size - first, kTile)};
        return Product<decltype(a), decltype(b)>{a, b, depth};
    }

    __device__ void write(const ExpertTile &tile, const float *sums) const {
        for_each_run<kTile>([&](int row, int column) {
            float dot = write_run(tile, sums, row, column);
            if (args.partial == nullptr) return;
#pragma unroll
            for (int distance = 1; distance < kTile / kRun; distance *= 2) dot += __shfl_xor_sync(kAllLanes, dot, distance);
            if (column == 0 && stores_row(row, tile.rows)) {
                args.partial[tile.column_tile * args.plan.tokens * args.plan.top_k + tile.first_row + row] = dot;
            }
        });
    }

    // Returns the part of <hidden, g> in these columns.
    __device__ __forceinline__ float write_run(const ExpertTile &tile, const float *sums, int row, int column) const {
        int64_t f = tile.column_tile * kTile + column;
        int count = clamp_count(args.ffn_size - f, kRun);
        if (!stores_row(row, tile.rows) || count == 0) return 0.f;
        int64_t r = tile.first_row + row;
        float scale = args.scale != nullptr ? args.scale[args.plan.slot_of_row[r]] : 1.f;
        float g[kRun], a[kRun], b[kRun] = {}, hidden[kRun];
        read_sums(sums, row, column, g);
        load_run(args.pre.data, args.pre.type, r * args.pre.stride + f, count, a);
        if (args.gated) load_run(args.pre.data, args.pre.type, r * args.pre.stride + args.ffn_size + f, count, b);
        if (!args.recompute) load_run(args.hidden.data, args.hidden.type, r * args.hidden.stride + f, count, hidden);
        float dot = 0.f;
#pragma unroll
        for (int i = 0; i < kRun; i++) {
            float part = activation_backward(math, args.gated, args.recompute, args.hidden.type, scale, g[i], a[i], b[i], hidden[i]);
            if (i < count) dot += part;
        }
        if (args.recompute) store_run(args.hidden.data, args.hidden.type, r * args.hidden.stride + f, count, hidden);
        store_run(args.d_pre.data, args.d_pre.type, r * args.d_pre.stride + f, count, a);
        if (args.gated) store_run(args.d_pre.data, args.d_pre.type, r * args.d_pre.stride + args.ffn_size + f, count, b);
        return dot;
    }
};

struct UpDgradArguments {
    Plan plan;
    Matrix d_pre;           // [N, P], type of the kernel
    const void *weights;    // W [E, P, H] dense, type of the kernel
    Matrix d_rows;          // [N, H]
    int64_t hidden_size, pre_size;
};

template <class T> struct UpDgradJob : ExpertTiles {
    const UpDgradArguments &args;

    __device__ explicit UpDgradJob(const UpDgradArguments &a)
        : ExpertTiles{a.plan, ceil_div(a.hidden_size, kTile)}, args(a) {}

    __device__ auto product(const ExpertTile &tile) const {
        int64_t first = tile.column_tile * kTile;
        int depth = static_cast<int>(args.pre_size);
        const T *weights = static_cast<const T *>(args.weights) + tile.expert * args.pre_size * args.hidden_size + first;
        Operand<T, ConsecutiveRows> a{
            static_cast<const T *>(args.d_pre.data), args.d_pre.stride, {tile.first_row, tile.rows}, depth};
        Operand<T, ConsecutiveRows> b{weights, args.hidden_size, {0, depth}, clamp_count(args.hidden_size - first, kTile)};
        return Product<decltype(a), decltype(b)>{a, b, depth};
    }

    __device__ void write(const ExpertTile &tile, const float *sums) const {
        for_each_run<kTile>([&](int row, int column) {
            int64_t h = tile.column_tile * kTile + column;
            int count = clamp_count(args.hidden_size - h, kRun);
            if (!stores_row(row, tile.rows) || count == 0) return;
            float v[kRun];
            read_sums(sums, row, column, v);
            store_run(args.d_rows.data, args.d_rows.type, (tile.first_row + row) * args.d_rows.stride + h, count, v);
        });
    }
};

}  // namespace dropless

#define EXPERT_KERNELS(suffix, Engine, T)                                                                                    \
    extern "C" __global__ void __launch_bounds__(dropless::kThreads, dropless::kBlocksPerMultiprocessor) \
        dropless_up_##suffix(const __grid_constant__ dropless::UpArguments args) {                                           \
        using namespace dropless;                                                                                            \
        run_tiles<Engine, Layout::kDepthMajor, Layout::kDepthMajor>(UpJob<T>(args));                                         \
    }                                                                                                                        \
    extern "C" __global__ void __launch_bounds__(dropless::kThreads, dropless::kBlocksPerMultiprocessor) \
        dropless_down_##suffix(const __grid_constant__ dropless::DownArguments args) {                                       \
        using namespace dropless;                                                                                            \
        run_tiles<Engine, Layout::kDepthMajor, Layout::kDepthMajor>(DownJob<T>(args));                                       \
    }                                                                                                                        \
    extern "C" __global__ void __launch_bounds__(dropless::kThreads, dropless::kBlocksPerMultiprocessor) \
        dropless_down_dgrad_##suffix(const __grid_constant__ dropless::DownDgradArguments args) {                            \
        using namespace dropless;                                                                                            \
        run_tiles<Engine, Layout::kDepthMajor, Layout::kWideMajor>(DownDgradJob<T>(args));                                   \
    }                                                                                                                        \
    extern "C" __global__ void __launch_bounds__(dropless::kThreads, dropless::kBlocksPerMultiprocessor) \
        dropless_up_dgrad_##suffix(const __grid_constant__ dropless::UpDgradArguments args) {                                \
        using namespace dropless;                                                                                            \
        run_tiles<Engine, Layout::kDepthMajor, Layout::kWideMajor>(UpDgradJob<T>(args));                                     \
    }

EXPERT_KERNELS(f32, FloatUnits, float)
EXPERT_KERNELS(bf16, TensorCore<bf16>, bf16)
EXPERT_KERNELS(f16, TensorCore<f16>, f16)
