// Gradients of the experts' weights on Hopper: products summed over the rows of an expert.
//
//   up_wgrad     dW_e (+)= sum over rows r of e of dPre[r]^T (v[s] x[t])       [P, H]
//   down_wgrad   dD_e (+)= sum over rows r of e of (w[s] dY[t])^T hidden[r]    [H, F]
//
// Tiles are 128 columns of the gathered operand (x or dY) by 256 of the consecutive one (dPre or hidden), which both come with their columns
// contiguous, as they are. So the tile of dW is the transpose of what is stored, and is turned on the way out. The two blocks of a cluster take
// neighbouring tiles of the gathered operand and share the boxes of the other.
//
// With `accumulate` experts without rows are not touched, without it they are set to zero. Rows of other experts enter neither as values nor as
// zeros times values: what lies beyond an expert's last row is set to zero in shared memory, in both operands. Where there are weights of
// slots, gathered rows are multiplied by them and rounded to their type.
//
// Where experts have few rows, a gradient takes about as long to write as to sum: the short variants have tiles of 128 x 128 that the multiplying
// warpgroups take in turns.
//
// Tiles of the experts with most rows come first.
//
// Names: dropless_hopper_{up_wgrad,down_wgrad}[_short]_<bf16|f16>. Launch: see hopper_tile.cuh; useful clusters are
// E * ceil(gathered columns / (128 * blocks of a cluster)) * ceil(consecutive columns / 256, short: 128).
#include "hopper_runs.cuh"
#include "hopper_turns.cuh"

namespace dropless {

struct HopperWgradArguments {
    Plan plan;
    const TensorMap *rows_map;  // of dPre [N, P] or hidden [N, F], boxes of 64 x 64; not read where N = 0
    Matrix tokens;              // x or dY [T, H], type of the kernel
    const float *scale;         // v or w [T * k], or null
    void *gradient;             // [E, P, H] or [E, H, F] dense
    int64_t gradient_type;
    int64_t token_columns, row_columns;  // H, and P or F
    int64_t accumulate, group;
};

// A tile: 128 columns of the gathered rows by 256 of the consecutive ones.
struct WgradTile {
    int expert;
    int rows;                // gathered columns of this tile that are stored
    int first_row, depth;    // the expert's
    int64_t row, column;     // first columns of the operands
};

// Gathered rows as a wide-major operand: thread t brings chunk t % 16 of rows 8 i + t / 16 of a stage.
template <class T> struct GatheredColumns {
    static constexpr int kPasses = kBoxColumns / 8;

    const HopperWgradArguments &args;
    const WgradTile &tile;
    const T *source;       // this thread's chunk of token 0, or null beyond the last column
    int row;               // whose token this lane knows: lanes 0..15 those that the warp brings
    int token, slot;       // of the next stage, slot of the one after it
    float scale;
    Pack<unsigned> packs[kPasses];  // rows of the next stage, where they are weighted

    __device__ GatheredColumns(const HopperWgradArguments &a, const WgradTile &t)
        : args(a), tile(t), row(threadIdx.x % 32 / 2 * 8 + threadIdx.x / 32 * 2 + threadIdx.x % 2) {
        int64_t column = t.row + threadIdx.x % 16 * 8;
        source = column < a.token_columns ? static_cast<const T *>(a.tokens.data) + column : nullptr;
        token = token_of(0);
        if (a.scale == nullptr) return;
        scale = scale_of(slot_of(0));
        slot = slot_of(1);
        fetch();
    }

    __device__ __forceinline__ int index(const int *of, int step) const {
        int at = step * kBoxColumns + row;
        return threadIdx.x % 32 < 16 && (at < tile.depth || planted(Fault::kNoRowMask)) ? of[tile.first_row + at] : -1;
    }
    __device__ __forceinline__ int token_of(int step) const { return index(args.plan.token_of_row, step); }
    __device__ __forceinline__ int slot_of(int step) const { return index(args.plan.slot_of_row, step); }
    __device__ __forceinline__ float scale_of(int s) const { return s >= 0 ? args.scale[s] : 0.f; }

    // Lane that knows the token of this thread's row of a pass.
    static __device__ __forceinline__ int lane_of(int pass) { return pass * 2 + threadIdx.x % 32 / 16; }

    // Which element of the source is copied, -1 where none is.
    __device__ __forceinline__ int64_t element(int pass) const {
        int t = __shfl_sync(kAllLanes, token, lane_of(pass));
        return t >= 0 && source != nullptr ? t * args.tokens.stride : -1;
    }

    static __device__ __forceinline__ unsigned char *target(const Stage &stage, int pass) {
        int chunk = threadIdx.x % 16, r = pass * 8 + threadIdx.x / 16;
        return stage.a + chunk / 8 * kBoxBytes + swizzled(r, chunk % 8);
    }

    __device__ __forceinline__ void fetch() {
#pragma unroll
        for (int i = 0; i < kPasses; i++) {
            int64_t from = element(i);
            packs[i] = from >= 0 ? *reinterpret_cast<const Pack<unsigned> *>(source + from) : Pack<unsigned>{};
        }
    }

    __device__ __forceinline__ void load(int step, const Stage &stage) {
        if (args.scale == nullptr) {
#pragma unroll
            for (int i = 0; i < kPasses; i++) {
                int64_t from = element(i);
                copy_async_16(target(stage, i), from >= 0 ? source + from : args.tokens.data, from >= 0 ? 16 : 0);
            }
            token = token_of(step + 1);
            return;
        }
#pragma unroll
        for (int i = 0; i < kPasses; i++) {
            float weight = __shfl_sync(kAllLanes, scale, lane_of(i));
            Pack<unsigned> pack = packs[i];
#pragma unroll
            for (int j = 0; j < 4 && !planted(Fault::kNoScale); j++) {
                float pair[2];
                unpack_pair<T>(pack.element[j], pair);
                pack.element[j] = pack_pair<T>(pair[0] * weight, pair[1] * weight);
            }
            store_chunk(target(stage, i), pack);
        }
        token = token_of(step + 1);
        scale = scale_of(slot);
        slot = slot_of(step + 2);
        fetch();
    }
};

// Stores a tile, or its transpose, in the gradient.
template <class T, bool transposed> struct WgradWriter {
    static constexpr bool kTransposed = transposed;
    static constexpr int kAhead = 2;
    const HopperWgradArguments &args;
    const WgradTile &tile;

    struct Fetched {
        float old[kRun];
    };

    // Index of the first element of a run, and how many of it are there.
    __device__ __forceinline__ int place(int row, int column, int64_t &index) const {
        int64_t r = tile.row + row, c = tile.column + column;
        index = transposed ? (tile.expert * args.row_columns + c) * args.token_columns + r
                           : (tile.expert * args.token_columns + r) * args.row_columns + c;
        bool there = stores_row(row, tile.rows) && c < args.row_columns;
        return there ? clamp_count(transposed ? args.token_columns - r : args.row_columns - c, kRun) : 0;
    }

    __device__ __forceinline__ Fetched fetch(int row, int column) const {
        Fetched f{};
        int64_t index;
        int count = place(row, column, index);
        if (args.accumulate && count > 0) load_run(args.gradient, args.gradient_type, index, count, f.old);
        return f;
    }

    __device__ __forceinline__ void run(int row, int column, float (&v)[kRun], const Fetched &f) const {
        int64_t index;
        int count = place(row, column, index);
        if (count == 0) return;
        if (args.accumulate) {
#pragma unroll
            for (int i = 0; i < kRun; i++) v[i] += f.old[i];
        }
        store_run(args.gradient, args.gradient_type, index, count, v);
    }
};

// Weighted rows pass through 32 registers on their way.
template <class Engine> struct WgradEngine : Engine {
    static constexpr int kGatherRegisters = 72, kGatherProductRegisters = 216;
    static constexpr int kOrderedExperts = 512;
};
template <class T> using LongWgradEngine = WgradEngine<HopperEngine<T, Layout::kWideMajor, Layout::kWideMajor>>;
template <class T> using ShortWgradEngine = WgradEngine<TurnEngine<T, Layout::kWideMajor, Layout::kWideMajor>>;

template <class WgradEngine, bool transposed> struct HopperWgradJob {
    using Engine = WgradEngine;
    using T = typename Engine::Element;
    static constexpr bool kGathers = true, kPrepares = true;
    const HopperWgradArguments &args;

    struct Gather : GatheredColumns<T> {
        __device__ Gather(const HopperWgradJob &job, const WgradTile &tile) : GatheredColumns<T>(job.args, tile) {}
    };

    __device__ int64_t row_steps() const { return ceil_div(args.token_columns, int64_t{kTile} * cluster_size()); }
    __device__ int64_t column_tiles() const { return ceil_div(args.row_columns, Engine::kColumns); }
    __device__ int64_t tiles() const { return args.plan.num_experts * row_steps() * column_tiles(); }

    __device__ WgradTile tile(int64_t n, unsigned rank) const {
        int64_t per_expert = row_steps() * column_tiles();
        int expert = ordered_expert<Engine>(args.plan, static_cast<int>(n / per_expert));
        TileOrder order(n % per_expert, row_steps(), column_tiles(), static_cast<int>(args.group));
        int first = args.plan.offsets[expert], depth = args.plan.offsets[expert + 1] - first;
        int64_t row = (order.row * cluster_size() + rank) * kTile;
        bool untouched = depth == 0 && args.accumulate;
        return {expert, untouched ? 0 : clamp_count(args.token_columns - row, kTile), first, depth, row,
                order.column * Engine::kColumns};
    }

    __device__ __forceinline__ void acquire_maps() const { acquire_tensor_map(args.rows_map); }

    __device__ int steps(const WgradTile &tile) const { return static_cast<int>(ceil_div(tile.depth, Engine::kDepth)); }

    __device__ void load(const WgradTile &tile, int step, const Stage &stage) const {
        expect(stage, Engine::kBytesB);
        load_b<Engine>(stage, args.rows_map, cluster_size() == 2, static_cast<int>(tile.column),
                       tile.first_row + step * Engine::kDepth);
    }

    __device__ void prepare(const WgradTile &tile, int step, const Stage &stage) const {
        clear_tails<Engine, false>(stage, tile.depth - step * Engine::kDepth);
    }

    template <class Sums> __device__ void write(const WgradTile &tile, const Sums &sums, const Staging &staging) const {
        WgradWriter<T, transposed> writer{args, tile};
        if constexpr (Engine::kTurns) {
            write_runs(writer, 0, sums, turn_parts(tile.rows), staging);
        } else {
            write_runs(writer, sums, staging);
        }
    }
};

}  // namespace dropless

#define HOPPER_WGRAD(name, Engine, transposed)                                                            \
    extern "C" __global__ void __launch_bounds__(dropless::kHopperThreads, 1)                             \
        name(const __grid_constant__ dropless::HopperWgradArguments args) {                               \
        using namespace dropless;                                                                         \
        run_hopper<Engine>(HopperWgradJob<Engine, transposed>{args});                                     \
    }
#define HOPPER_WGRADS(suffix, T)                                                            \
    HOPPER_WGRAD(dropless_hopper_up_wgrad_##suffix, LongWgradEngine<T>, true)               \
    HOPPER_WGRAD(dropless_hopper_down_wgrad_##suffix, LongWgradEngine<T>, false)            \
    HOPPER_WGRAD(dropless_hopper_up_wgrad_short_##suffix, ShortWgradEngine<T>, true)        \
    HOPPER_WGRAD(dropless_hopper_down_wgrad_short_##suffix, ShortWgradEngine<T>, false)

HOPPER_WGRADS(bf16, bf16)
HOPPER_WGRADS(f16, f16)
