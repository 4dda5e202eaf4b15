// Gradients of the experts' rows on Hopper; formulas and notation as in experts.cu.
//
//   hopper_down_dgrad   g[r] = dY[t] D_e;  dPre[r] = w[s] g[r] activation'(pre[r]);  partial[tile][r] = sum of hidden[r] g[r] over the
//                       tile's 128 columns (summed up by slot_dot of combine.cu); hidden is read or, where recomputed, written
//   hopper_up_dgrad     dRows[r] = dPre[r] W_e
//
// dY is gathered while it is copied; weights come with their columns contiguous, as they are. pre, hidden, dPre and dRows have the type of the
// operands; everything is rounded once. Writing dPre reads and writes up to five times what is summed, so the multiplying warpgroups of
// down_dgrad take turns.
//
// H and F are multiples of 8; dY, pre, hidden, dPre and dRows begin at multiples of 16 bytes and so do their rows: other layers are for
// experts.cu.
//
// Names: dropless_hopper_{down_dgrad,up_dgrad,up_dgrad_short}_<bf16|f16>. Launch: see hopper_tile.cuh; useful clusters are (tiles of the plan, or pairs of
// them) * ceil(columns / width), width 128 for down_dgrad, 256 for up_dgrad, 192 for its short variant, for few stages (P below 1024 or so).
#include "activation.cuh"
#include "hopper_gather.cuh"
#include "hopper_runs.cuh"
#include "hopper_turns.cuh"

namespace dropless {

struct HopperDownDgradArguments {
    Plan plan;
    Matrix d_y;                // [T, H], type of the kernel
    const float *scale;        // w [T * k], or null
    const TensorMap *weights;  // D [E * H, F], box 64 x 64
    Matrix pre;                // [N, P]
    Matrix hidden;             // [N, F]: read, or written where recompute is not 0
    Matrix d_pre;              // [N, P]; may be pre
    float *partial;            // [ceil(F / 128), T * k] by (column tile, row), or null
    Activation activation;
    int64_t hidden_size, ffn_size, gated, recompute;
    int64_t group;             // of tiles of rows that are taken together
};

template <class T> struct DownDgradWriter {
    static constexpr bool kTransposed = false;
    static constexpr int kAhead = 1;
    const HopperDownDgradArguments &args;
    const ActivationMath &math;
    const RowTile &tile;
    float scale;  // lane l has that of row l % 16 of the warp's in part l / 16

    // Pre-activations, and hidden where it is read, as they lie.
    struct Fetched {
        Pack<unsigned> gate, up, hidden;
    };

    __device__ DownDgradWriter(const HopperDownDgradArguments &a, const ActivationMath &m, const RowTile &t, int warp)
        : args(a), math(m), tile(t), scale(1.f) {
        int lane = threadIdx.x % 32, row = lane / 16 * kWarpgroupRows + warp * 16 + lane % 16;
        if (a.scale != nullptr && row < t.rows) scale = a.scale[a.plan.slot_of_row[t.first_row + row]];
    }

    __device__ __forceinline__ bool there(int row, int column) const {
        return stores_row(row, tile.rows) && tile.column_tile * kTile + column < args.ffn_size;
    }

    __device__ __forceinline__ int64_t at(const Matrix &matrix, int row, int column) const {
        return (tile.first_row + row) * matrix.stride + tile.column_tile * kTile + column;
    }

    static __device__ __forceinline__ Pack<unsigned> load(const Matrix &matrix, int64_t index) {
        return *reinterpret_cast<const Pack<unsigned> *>(static_cast<const T *>(matrix.data) + index);
    }
    static __device__ __forceinline__ void store(const Matrix &matrix, int64_t index, const Pack<unsigned> &pack) {
        *reinterpret_cast<Pack<unsigned> *>(static_cast<T *>(matrix.data) + index) = pack;
    }

    __device__ __forceinline__ Fetched fetch(int row, int column) const {
        Fetched f{};
        if (!there(row, column)) return f;
        int64_t index = at(args.pre, row, column);
        f.gate = load(args.pre, index);
        if (args.gated) f.up = load(args.pre, index + args.ffn_size);
        if (!args.recompute) f.hidden = load(args.hidden, at(args.hidden, row, column));
        return f;
    }

    __device__ __forceinline__ void run(int row, int column, const float (&g)[kRun], const Fetched &f) const {
        float weight = __shfl_sync(kAllLanes, scale, row / kWarpgroupRows * 16 + row % 16);
        float dot = there(row, column) ? write(row, column, planted(Fault::kNoScale) ? 1.f : weight, g, f) : 0.f;
        if (args.partial == nullptr) return;
#pragma unroll
        for (int distance = 1; distance < kRunColumns / kRun; distance *= 2) dot += __shfl_xor_sync(kAllLanes, dot, distance);
        if (column == 0 && stores_row(row, tile.rows) && !(planted(Fault::kNoPartial) && tile.column_tile > 0)) {
            args.partial[tile.column_tile * args.plan.tokens * args.plan.top_k + tile.first_row + row] = dot;
        }
    }

    // Returns the part of <hidden, g> in these columns.
    __device__ __forceinline__ float write(int row, int column, float weight, const float (&g)[kRun], Fetched f) const {
        float dot = 0.f;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float a[2], b[2], hidden[2];
            unpack_pair<T>(f.gate.element[i], a);
            unpack_pair<T>(f.up.element[i], b);
            unpack_pair<T>(f.hidden.element[i], hidden);
#pragma unroll
            for (int j = 0; j < 2; j++) {
                dot += activation_backward(
                    math, args.gated, args.recompute, args.hidden.type, weight, g[2 * i + j], a[j], b[j], hidden[j]);
            }
            f.gate.element[i] = pack_pair<T>(a[0], a[1]);
            f.up.element[i] = pack_pair<T>(b[0], b[1]);
            f.hidden.element[i] = pack_pair<T>(hidden[0], hidden[1]);
        }
        if (args.recompute) store(args.hidden, at(args.hidden, row, column), f.hidden);
        int64_t index = at(args.d_pre, row, column);
        store(args.d_pre, index, f.gate);
        if (args.gated) store(args.d_pre, index + args.ffn_size, f.up);
        return dot;
    }
};

template <class T> struct HopperDownDgradJob : PlanSchedule {
    using Engine = TurnEngine<T, Layout::kDepthMajor, Layout::kWideMajor>;
    static constexpr bool kGathers = true, kPrepares = true;

    const HopperDownDgradArguments &args;
    ActivationMath math;

    __device__ explicit HopperDownDgradJob(const HopperDownDgradArguments &a)
        : PlanSchedule{a.plan, ceil_div(a.ffn_size, Engine::kColumns), static_cast<int>(a.group)}, args(a), math(a.activation) {}

    struct Gather : GatheredA<T> {
        __device__ __forceinline__ Gather(const HopperDownDgradJob &job, const RowTile &tile)
            : GatheredA<T>(job.args.d_y, job.args.hidden_size, job.args.plan.token_of_row + tile.first_row, tile.rows) {}
    };

    __device__ __forceinline__ void acquire_maps() const { acquire_tensor_map(args.weights); }

    __device__ __forceinline__ int steps(const RowTile &) const {
        return static_cast<int>(ceil_div(args.hidden_size, Engine::kDepth));
    }

    __device__ __forceinline__ void load(const RowTile &tile, int step, const Stage &stage) const {
        expect(stage, Engine::kBytesB);
        load_b<Engine>(stage, args.weights, tile.shares_columns, static_cast<int>(tile.column_tile) * Engine::kColumns,
                       static_cast<int>(tile.expert * args.hidden_size) + step * Engine::kDepth);
    }

    __device__ __forceinline__ void prepare(const RowTile &, int step, const Stage &stage) const {
        clear_tails<Engine, false>(stage, clamp_count(args.hidden_size - step * Engine::kDepth, kBoxColumns));
    }

    __device__ __forceinline__ void write(
        const RowTile &tile, const float (&sums)[kTurnParts][Engine::kSums], const Staging &staging) const {
        DownDgradWriter<T> writer(args, math, tile, staging.lane() / 32);
        write_runs(writer, 0, sums, turn_parts(tile.rows), staging);
    }
};

struct HopperUpDgradArguments {
    Plan plan;
    const TensorMap *d_pre;    // [N, P], box 64 x 64
    const TensorMap *weights;  // W [E * P, H], box 64 x 64
    Matrix d_rows;             // [N, H], type of the kernel
    const TensorMap *d_rows_map;  // box 64 x 64
    int64_t hidden_size, pre_size;
    int64_t group;             // of tiles of rows that are taken together
};

template <class UpDgradEngine> struct HopperUpDgradJob : PlanSchedule {
    using Engine = UpDgradEngine;
    using T = typename Engine::Element;
    static constexpr bool kGathers = false, kPrepares = true;

    const HopperUpDgradArguments &args;

    __device__ explicit HopperUpDgradJob(const HopperUpDgradArguments &a)
        : PlanSchedule{a.plan, ceil_div(a.hidden_size, Engine::kColumns), static_cast<int>(a.group)}, args(a) {}

    __device__ __forceinline__ void acquire_maps() const {
        acquire_tensor_map(args.d_pre);
        acquire_tensor_map(args.weights);
        acquire_tensor_map(args.d_rows_map);
    }

    __device__ __forceinline__ int steps(const RowTile &) const {
        return static_cast<int>(ceil_div(args.pre_size, Engine::kDepth));
    }

    __device__ __forceinline__ void load(const RowTile &tile, int step, const Stage &stage) const {
        expect(stage, row_boxes(tile.rows) * kBoxBytes + Engine::kBytesB);
        load_a_rows(stage, args.d_pre, tile.first_row, tile.rows, step * Engine::kDepth);
        load_b<Engine>(stage, args.weights, tile.shares_columns, static_cast<int>(tile.column_tile) * Engine::kColumns,
                       static_cast<int>(tile.expert * args.pre_size) + step * Engine::kDepth);
    }

    // Beyond the last column dPre enters as zeros, but W with the next expert's rows.
    __device__ __forceinline__ void prepare(const RowTile &, int step, const Stage &stage) const {
        clear_tails<Engine, false>(stage, clamp_count(args.pre_size - step * Engine::kDepth, kBoxColumns));
    }

    template <class Sums> __device__ __forceinline__ void write(const RowTile &tile, const Sums &sums, Staging &staging) const {
        for_own_rows(staging, tile.rows, sums, [&](int above, const float(&own)[Engine::kSums]) {
            write_rows(tile, above, own, staging);
        });
    }

    __device__ __forceinline__ void write_rows(
        const RowTile &tile, int above, const float (&sums)[Engine::kSums], Staging &staging) const {
#pragma unroll
        for (int part = 0; part < Engine::kColumns / kBoxColumns; part++) {
            int64_t column = tile.column_tile * Engine::kColumns + part * kBoxColumns;
            if (column >= args.hidden_size) break;
            staging.store<T>(args.d_rows_map, args.d_rows, args.hidden_size, column, tile.first_row + above, tile.rows - above,
                             [&](int i) { return sums[part * 32 + i]; });
        }
    }
};

template <class T> using UpDgradEngine = HopperEngine<T, Layout::kDepthMajor, Layout::kWideMajor>;
template <class T> using ShortUpDgradEngine = WideTurnEngine<T, Layout::kDepthMajor, Layout::kWideMajor>;

}  // namespace dropless

#define HOPPER_DGRAD(suffix, T)                                                                                            \
    extern "C" __global__ void __launch_bounds__(dropless::kHopperThreads, 1)                                              \
        dropless_hopper_down_dgrad_##suffix(const __grid_constant__ dropless::HopperDownDgradArguments args) {             \
        using namespace dropless;                                                                                          \
        using Job = HopperDownDgradJob<T>;                                                                                 \
        run_hopper<Job::Engine>(Job(args));                                                                                \
    }                                                                                                                      \
    extern "C" __global__ void __launch_bounds__(dropless::kHopperThreads, 1)                                              \
        dropless_hopper_up_dgrad_##suffix(const __grid_constant__ dropless::HopperUpDgradArguments args) {                 \
        using namespace dropless;                                                                                          \
        run_hopper<UpDgradEngine<T>>(HopperUpDgradJob<UpDgradEngine<T>>(args));                                            \
    }                                                                                                                      \
    extern "C" __global__ void __launch_bounds__(dropless::kHopperThreads, 1)                                              \
        dropless_hopper_up_dgrad_short_##suffix(const __grid_constant__ dropless::HopperUpDgradArguments args) {           \
        using namespace dropless;                                                                                          \
        run_hopper<ShortUpDgradEngine<T>>(HopperUpDgradJob<ShortUpDgradEngine<T>>(args));                                  \
    }

HOPPER_DGRAD(bf16, bf16)
HOPPER_DGRAD(f16, f16)
