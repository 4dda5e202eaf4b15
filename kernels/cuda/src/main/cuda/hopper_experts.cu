// Forward products of the experts' rows on Hopper; formulas and notation as in experts.cu.
//
//   hopper_up      pre[r] = v[s] x[t] W_e^T + b_e;  hidden[r] = activation(pre[r])     x gathered while it is copied
//   hopper_down    out[r] = hidden[r] D_e^T + c_e
//
// pre, hidden and out have the type of the operands. A gated tile has 128 gate columns and the 128 up columns that belong to them: a thread
// holds both, so the activation needs no exchange. What is stored is rounded once; hidden comes from the unrounded pre.
//
// H and F are multiples of 8; x, pre, hidden and out begin at multiples of 16 bytes and so do their rows: other layers are for experts.cu.
//
// The short variant of down is for few stages (F below 1024 or so): warpgroups take turns, one writes while the other sums.
//
// Names: dropless_hopper_{up_gated,up_plain,down,down_short}_<bf16|f16>. Launch: see hopper_tile.cuh; useful clusters are (tiles of the plan, or pairs of
// them) * ceil(columns / width), width 128 for a gated up-projection, 192 for down_short, else 256.
#include "activation.cuh"
#include "hopper_gather.cuh"
#include "hopper_turns.cuh"

namespace dropless {

struct HopperUpArguments {
    Plan plan;
    Matrix x;                  // [T, H], type of the kernel
    const float *scale;        // v [T * k], or null
    const TensorMap *weights;  // W [E * P, H], box 64 x 128
    Matrix bias;               // b [E, P], or null; stride is P or more
    Matrix pre;                // [N, P], or null
    const TensorMap *pre_map;  // box 64 x 64
    Matrix hidden;             // [N, F]
    const TensorMap *hidden_map;  // box 64 x 64
    Activation activation;
    int64_t hidden_size, ffn_size;
    int64_t group;             // of tiles of rows that are taken together
};

template <class Engine, bool gated> struct HopperUpJob : PlanSchedule {
    using T = typename Engine::Element;
    static constexpr bool kGathers = true, kPrepares = false;
    static constexpr int kWidth = gated ? Engine::kColumns / 2 : Engine::kColumns;  // hidden columns of a tile
    static constexpr int kParts = kWidth / kBoxColumns;
    static constexpr int kUp = Engine::kSums / 2;  // where a thread's up sums begin

    const HopperUpArguments &args;

    __device__ explicit HopperUpJob(const HopperUpArguments &a)
        : PlanSchedule{a.plan, ceil_div(a.ffn_size, kWidth), static_cast<int>(a.group)}, args(a) {}

    struct Gather : GatheredA<T> {
        __device__ __forceinline__ Gather(const HopperUpJob &job, const RowTile &tile)
            : GatheredA<T>(job.args.x, job.args.hidden_size, job.args.plan.token_of_row + tile.first_row, tile.rows) {}
    };

    __device__ __forceinline__ void acquire_maps() const {
        acquire_tensor_map(args.weights);
        if (args.pre.data != nullptr) acquire_tensor_map(args.pre_map);
        acquire_tensor_map(args.hidden_map);
    }

    __device__ __forceinline__ int steps(const RowTile &) const {
        return static_cast<int>(ceil_div(args.hidden_size, Engine::kDepth));
    }

    __device__ __forceinline__ void load(const RowTile &tile, int step, const Stage &stage) const {
        int64_t first = tile.expert * (gated ? 2 : 1) * args.ffn_size + tile.column_tile * kWidth;
        expect(stage, Engine::kBytesB);
        load_b_rows<Engine>(stage, args.weights, tile.shares_columns, step * Engine::kDepth, [&](int i) {
            return static_cast<int>(first + i * (gated ? args.ffn_size : Engine::kColumns / 2));
        });
    }

    __device__ __forceinline__ void write(const RowTile &tile, float (&sums)[Engine::kSums], Staging &staging) const {
        ActivationMath math(args.activation);
        int above = staging.warpgroup * kWarpgroupRows, rows = tile.rows - above;
        int64_t row = tile.first_row + above;
        if (args.scale != nullptr) multiply_rows(row, rows, staging.lane(), sums);
        if (args.bias.data != nullptr) add_bias(tile, sums, staging);
#pragma unroll
        for (int part = 0; part < kParts; part++) {
            int64_t column = tile.column_tile * kWidth + part * kBoxColumns;
            if (column < args.ffn_size) write_part(math, part, row, rows, column, sums, staging);
        }
    }

    __device__ __forceinline__ void multiply_rows(
        int64_t row, int rows, int lane, float (&sums)[Engine::kSums]) const {
        float scale[2];
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int r = lane / 32 * 16 + lane % 32 / 4 + half * 8;
            scale[half] = r < rows ? args.scale[args.plan.slot_of_row[row + r]] : 0.f;
        }
#pragma unroll
        for (int i = 0; i < Engine::kSums; i++) sums[i] *= scale[i / 2 % 2];
    }

    __device__ __forceinline__ void add_bias(const RowTile &tile, float (&sums)[Engine::kSums], const Staging &staging) const {
#pragma unroll
        for (int part = 0; part < kParts; part++) {
            int64_t column = tile.column_tile * kWidth + part * kBoxColumns, columns = args.ffn_size - column;
            int64_t index = tile.expert * args.bias.stride + column;
            staging.add_row(args.bias, index, columns, sums, part * 32);
            if (gated) staging.add_row(args.bias, index + args.ffn_size, columns, sums, kUp + part * 32);
        }
    }

    // 64 columns of hidden, and of pre the columns they come from.
    __device__ __forceinline__ void write_part(
        const ActivationMath &math, int part, int64_t row, int rows, int64_t column, const float (&sums)[Engine::kSums],
        Staging &staging) const {
        if (args.pre.data != nullptr) {
            staging.store<T>(args.pre_map, args.pre, args.ffn_size, column, row, rows, [&](int i) { return sums[part * 32 + i]; });
            if (gated) {
                staging.store<T>(args.pre_map, args.pre, 2 * args.ffn_size, args.ffn_size + column, row, rows,
                                 [&](int i) { return sums[kUp + part * 32 + i]; });
            }
        }
        float hidden[32];
#pragma unroll
        for (int i = 0; i < 32; i++) hidden[i] = sums[part * 32 + i];
        math.replace_by_gate(hidden);
        staging.store<T>(args.hidden_map, args.hidden, args.ffn_size, column, row, rows, [&](int i) {
            return gated ? hidden[i] * math.factor(sums[kUp + part * 32 + i]) : hidden[i];
        });
    }
};

struct HopperDownArguments {
    Plan plan;
    const TensorMap *hidden;   // [N, F], box 64 x 64
    const TensorMap *weights;  // D [E * H, F], box 64 x 128, short: 64 x 96
    Matrix bias;               // c [E, H], or null
    Matrix out;                // [N, H]
    const TensorMap *out_map;  // box 64 x 64
    int64_t hidden_size, ffn_size;
    int64_t group;             // of tiles of rows that are taken together
};

template <class Engine> struct HopperDownJob : PlanSchedule {
    using T = typename Engine::Element;
    static constexpr bool kGathers = false, kPrepares = false;

    const HopperDownArguments &args;

    __device__ explicit HopperDownJob(const HopperDownArguments &a)
        : PlanSchedule{a.plan, ceil_div(a.hidden_size, Engine::kColumns), static_cast<int>(a.group)}, args(a) {}

    __device__ __forceinline__ void acquire_maps() const {
        acquire_tensor_map(args.hidden);
        acquire_tensor_map(args.weights);
        acquire_tensor_map(args.out_map);
    }

    __device__ __forceinline__ int steps(const RowTile &) const {
        return static_cast<int>(ceil_div(args.ffn_size, Engine::kDepth));
    }

    __device__ __forceinline__ void load(const RowTile &tile, int step, const Stage &stage) const {
        expect(stage, row_boxes(tile.rows) * kBoxBytes + Engine::kBytesB);
        load_a_rows(stage, args.hidden, tile.first_row, tile.rows, step * Engine::kDepth);
        int first = static_cast<int>(tile.expert * args.hidden_size + tile.column_tile * Engine::kColumns);
        load_b<Engine>(stage, args.weights, tile.shares_columns, first, step * Engine::kDepth);
    }

    template <class Sums> __device__ __forceinline__ void write(const RowTile &tile, Sums &sums, Staging &staging) const {
        for_own_rows(staging, tile.rows, sums, [&](int above, float(&own)[Engine::kSums]) { write_rows(tile, above, own, staging); });
    }

    __device__ __forceinline__ void write_rows(const RowTile &tile, int above, float (&sums)[Engine::kSums], Staging &staging) const {
#pragma unroll
        for (int part = 0; part < Engine::kColumns / kBoxColumns; part++) {
            int64_t column = tile.column_tile * Engine::kColumns + part * kBoxColumns;
            if (column >= args.hidden_size) break;
            if (args.bias.data != nullptr) {
                staging.add_row(args.bias, tile.expert * args.bias.stride + column, args.hidden_size - column, sums, part * 32);
            }
            staging.store<T>(args.out_map, args.out, args.hidden_size, column, tile.first_row + above, tile.rows - above,
                             [&](int i) { return sums[part * 32 + i]; });
        }
    }
};

template <class T> using ExpertEngine = HopperEngine<T, Layout::kDepthMajor, Layout::kDepthMajor>;
template <class T> using ShortDownEngine = WideTurnEngine<T, Layout::kDepthMajor, Layout::kDepthMajor>;

}  // namespace dropless

#define HOPPER_EXPERTS(suffix, T)                                                                                          \
    extern "C" __global__ void __launch_bounds__(dropless::kHopperThreads, 1)                                              \
        dropless_hopper_up_gated_##suffix(const __grid_constant__ dropless::HopperUpArguments args) {                      \
        using namespace dropless;                                                                                          \
        run_hopper<ExpertEngine<T>>(HopperUpJob<ExpertEngine<T>, true>(args));                                             \
    }                                                                                                                      \
    extern "C" __global__ void __launch_bounds__(dropless::kHopperThreads, 1)                                              \
        dropless_hopper_up_plain_##suffix(const __grid_constant__ dropless::HopperUpArguments args) {                      \
        using namespace dropless;                                                                                          \
        run_hopper<ExpertEngine<T>>(HopperUpJob<ExpertEngine<T>, false>(args));                                            \
    }                                                                                                                      \
    extern "C" __global__ void __launch_bounds__(dropless::kHopperThreads, 1)                                              \
        dropless_hopper_down_##suffix(const __grid_constant__ dropless::HopperDownArguments args) {                        \
        using namespace dropless;                                                                                          \
        run_hopper<ExpertEngine<T>>(HopperDownJob<ExpertEngine<T>>(args));                                                 \
    }                                                                                                                      \
    extern "C" __global__ void __launch_bounds__(dropless::kHopperThreads, 1)                                              \
        dropless_hopper_down_short_##suffix(const __grid_constant__ dropless::HopperDownArguments args) {                  \
        using namespace dropless;                                                                                          \
        run_hopper<ShortDownEngine<T>>(HopperDownJob<ShortDownEngine<T>>(args));                                           \
    }

HOPPER_EXPERTS(bf16, bf16)
HOPPER_EXPERTS(f16, f16)
