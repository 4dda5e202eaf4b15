// Forward products of experts that have few rows each, on Hopper, where reading the weights is all the work; formulas and notation as in
// experts.cu. The sides change places: weights are the tall operand A, 256 of their rows to a tile, and an expert's tokens the narrow one,
// so that every weight that is needed is read once and little else is. A tile of the plan with more rows than tokens fit is computed in parts.
//
//   hopper_decode_up      128 hidden columns, their gate rows and their up rows; or, not gated, 256 hidden columns
//   hopper_decode_down    256 columns
//
// Outputs have the type of the operands and any alignment. H and F are multiples of 8; x and hidden begin at multiples of 16 bytes and so do their
// rows.
//
// Names: dropless_hopper_{decode_up,decode_down}_<tokens: 16|64>_<bf16|f16>. Launch: see hopper_tile.cuh, without clusters; useful blocks are (tiles
// of the plan) * ceil(columns / width).
#include "activation.cuh"
#include "hopper_gather.cuh"

namespace dropless {

// Weights [rows, depth] of all experts and what a tile takes of them.
struct DecodeTile {
    int expert;
    int first_row, tokens;  // of the plan, what is left of them
    int rows;               // of the first box of weights that lead to results; 0 where there is nothing to do
    int64_t first;          // result column of the first of them
};

// Sums are few here, so the copying threads may have more registers.
template <class T, int tokens>
struct DecodeEngine : HopperEngine<T, Layout::kDepthMajor, Layout::kDepthMajor, tokens, tokens == 16 ? 6 : 5, 2> {
    static constexpr int kGatherRegisters = 104, kGatherProductRegisters = 200;
};

template <class T, int kTokens> struct DecodeJob : PlanSchedule {
    using Engine = DecodeEngine<T, kTokens>;
    static constexpr bool kGathers = true, kPrepares = false;
    static constexpr int kHalf = kTokens / 2;  // sums of a thread from each of the two boxes of weights

    int64_t depth, columns, width;

    __device__ DecodeJob(const Plan &plan, int64_t d, int64_t c, int64_t w)
        : PlanSchedule{plan, ceil_div(c, w), 1}, depth(d), columns(c), width(w) {}

    __device__ __forceinline__ DecodeTile tile(int64_t n, unsigned rank) const {
        RowTile tile = PlanSchedule::tile(n, rank);
        int64_t first = tile.column_tile * width;
        return {tile.expert, tile.first_row, tile.rows, tile.rows > 0 ? clamp_count(columns - first, kTile) : 0, first};
    }
    __device__ __forceinline__ bool next_part(DecodeTile &tile) const {
        tile.first_row += kTokens;
        tile.tokens -= kTokens;
        return tile.tokens > 0;
    }
    __device__ __forceinline__ int steps(const DecodeTile &tile) const {
        return tile.rows > 0 ? static_cast<int>(ceil_div(depth, Engine::kDepth)) : 0;
    }

    // The two boxes of weights, at these rows of the matrix of all experts' weights.
    static __device__ __forceinline__ void load_weights(
        const TensorMap *weights, int64_t first, int64_t second, int step, const Stage &stage) {
        expect(stage, Engine::kBytesA);
        load_box(stage.a, weights, stage.full, step * Engine::kDepth, static_cast<int>(first));
        load_box(stage.a + Engine::kBytesA / 2, weights, stage.full, step * Engine::kDepth, static_cast<int>(second));
    }

    // Calls f(i, row, token) for this thread's sums of a box: i-th sum, row of the box, token.
    template <class F> static __device__ __forceinline__ void for_each_sum(const Staging &staging, F f) {
        int row = staging.warpgroup * kWarpgroupRows + staging.lane() / 32 * 16 + staging.lane() % 32 / 4;
        int token = staging.lane() % 4 * 2;
#pragma unroll
        for (int i = 0; i < kHalf; i++) f(i, row + i / 2 % 2 * 8, token + i / 4 * 8 + i % 2);
    }

    // Adds an element for each row of a box, from `index` on, of which `rows` are there.
    static __device__ __forceinline__ void add_bias(
        const Matrix &bias, int64_t index, int rows, const Staging &staging, float *sums) {
        int row = staging.warpgroup * kWarpgroupRows + staging.lane() / 32 * 16 + staging.lane() % 32 / 4;
        float upper = row < rows ? load_element(bias.data, bias.type, index + row) : 0.f;
        float lower = row + 8 < rows ? load_element(bias.data, bias.type, index + row + 8) : 0.f;
#pragma unroll
        for (int i = 0; i < kHalf; i++) sums[i] += i / 2 % 2 == 0 ? upper : lower;
    }

    // Stores a box's sums transposed: its rows are columns of the result, from `column` on, of which `rows` are there.
    static __device__ __forceinline__ void store(
        const Matrix &result, const DecodeTile &tile, int64_t column, int rows, const Staging &staging, const float *sums) {
        T *data = static_cast<T *>(result.data) + tile.first_row * result.stride + column;
        for_each_sum(staging, [&](int i, int row, int token) {
            if ((row < rows && token < tile.tokens) || planted(Fault::kTailOverwrite)) {
                data[token * result.stride + row] = from_float<T>(sums[i]);
            }
        });
    }
};

struct HopperDecodeUpArguments {
    Plan plan;
    Matrix x;                  // [T, H], type of the kernel
    const float *scale;        // v [T * k], or null
    const TensorMap *weights;  // W [E * P, H], box 64 x 128
    Matrix bias;               // b [E, P], or null; stride is P or more
    Matrix pre;                // [N, P], or null
    Matrix hidden;             // [N, F]
    Activation activation;
    int64_t hidden_size, ffn_size, gated;
};

template <class T, int kTokens> struct DecodeUpJob : DecodeJob<T, kTokens> {
    using Base = DecodeJob<T, kTokens>;
    static constexpr int kHalf = Base::kHalf;

    const HopperDecodeUpArguments &args;

    __device__ explicit DecodeUpJob(const HopperDecodeUpArguments &a)
        : Base(a.plan, a.hidden_size, a.ffn_size, a.gated ? kTile : 2 * kTile), args(a) {}

    struct Gather : GatheredOperand<T, kTokens> {
        __device__ __forceinline__ Gather(const DecodeUpJob &job, const DecodeTile &tile)
            : GatheredOperand<T, kTokens>(job.args.x, job.args.hidden_size, job.args.plan.token_of_row + tile.first_row, tile.tokens) {}
        __device__ __forceinline__ void load(int step, const Stage &stage) const { this->copy(step, stage.b); }
    };

    // Columns of pre that the second box of weights leads to begin so far behind those of the first.
    __device__ __forceinline__ int64_t second() const { return args.gated ? args.ffn_size : kTile; }

    __device__ __forceinline__ void acquire_maps() const { acquire_tensor_map(args.weights); }

    __device__ __forceinline__ void load(const DecodeTile &tile, int step, const Stage &stage) const {
        int64_t first = tile.expert * (args.gated ? 2 : 1) * args.ffn_size + tile.first;
        Base::load_weights(args.weights, first, first + second(), step, stage);
    }

    __device__ __forceinline__ void write(
        const DecodeTile &tile, float (&sums)[Base::Engine::kSums], const Staging &staging) const {
        ActivationMath math(args.activation);
        int rows[2] = {tile.rows, args.gated ? tile.rows : clamp_count(args.ffn_size - tile.first - kTile, kTile)};
        if (args.scale != nullptr) multiply_tokens(tile, staging, sums);
#pragma unroll
        for (int box = 0; box < 2; box++) {
            int64_t column = tile.first + box * second();
            float *own = sums + box * kHalf;
            if (args.bias.data != nullptr) {
                Base::add_bias(args.bias, tile.expert * args.bias.stride + column, rows[box], staging, own);
            }
            if (args.pre.data != nullptr) Base::store(args.pre, tile, column, rows[box], staging, own);
        }
        auto &gate = reinterpret_cast<float(&)[kHalf]>(sums[0]);
        auto &other = reinterpret_cast<float(&)[kHalf]>(sums[kHalf]);
        math.replace_by_gate(gate);
        if (args.gated) {
#pragma unroll
            for (int i = 0; i < kHalf; i++) gate[i] *= math.factor(other[i]);
        } else {
            math.replace_by_gate(other);
            Base::store(args.hidden, tile, tile.first + kTile, rows[1], staging, other);
        }
        Base::store(args.hidden, tile, tile.first, rows[0], staging, gate);
    }

    __device__ __forceinline__ void multiply_tokens(
        const DecodeTile &tile, const Staging &staging, float (&sums)[Base::Engine::kSums]) const {
        Base::for_each_sum(staging, [&](int i, int, int token) {
            float scale = token < tile.tokens ? args.scale[args.plan.slot_of_row[tile.first_row + token]] : 0.f;
            sums[i] *= scale;
            sums[kHalf + i] *= scale;
        });
    }
};

struct HopperDecodeDownArguments {
    Plan plan;
    Matrix hidden;             // [N, F], type of the kernel
    const TensorMap *weights;  // D [E * H, F], box 64 x 128
    Matrix bias;               // c [E, H], or null
    Matrix out;                // [N, H]
    int64_t hidden_size, ffn_size;
};

template <class T, int kTokens> struct DecodeDownJob : DecodeJob<T, kTokens> {
    using Base = DecodeJob<T, kTokens>;

    const HopperDecodeDownArguments &args;

    __device__ explicit DecodeDownJob(const HopperDecodeDownArguments &a)
        : Base(a.plan, a.ffn_size, a.hidden_size, 2 * kTile), args(a) {}

    struct Gather : GatheredOperand<T, kTokens> {
        __device__ __forceinline__ Gather(const DecodeDownJob &job, const DecodeTile &tile)
            : GatheredOperand<T, kTokens>(job.args.hidden, job.args.ffn_size, tile.first_row, tile.tokens) {}
        __device__ __forceinline__ void load(int step, const Stage &stage) const { this->copy(step, stage.b); }
    };

    __device__ __forceinline__ void acquire_maps() const { acquire_tensor_map(args.weights); }

    __device__ __forceinline__ void load(const DecodeTile &tile, int step, const Stage &stage) const {
        int64_t first = tile.expert * args.hidden_size + tile.first;
        Base::load_weights(args.weights, first, first + kTile, step, stage);
    }

    __device__ __forceinline__ void write(
        const DecodeTile &tile, float (&sums)[Base::Engine::kSums], const Staging &staging) const {
#pragma unroll
        for (int box = 0; box < 2; box++) {
            int64_t column = tile.first + box * kTile;
            int rows = clamp_count(args.hidden_size - column, kTile);
            float *own = sums + box * Base::kHalf;
            if (args.bias.data != nullptr) {
                Base::add_bias(args.bias, tile.expert * args.bias.stride + column, rows, staging, own);
            }
            Base::store(args.out, tile, column, rows, staging, own);
        }
    }
};

}  // namespace dropless

#define HOPPER_DECODE(tokens, suffix, T)                                                                                   \
    extern "C" __global__ void __launch_bounds__(dropless::kHopperThreads, 1)                                              \
        dropless_hopper_decode_up_##tokens##_##suffix(const __grid_constant__ dropless::HopperDecodeUpArguments args) {    \
        using namespace dropless;                                                                                          \
        run_hopper<DecodeEngine<T, tokens>>(DecodeUpJob<T, tokens>(args));                                                 \
    }                                                                                                                      \
    extern "C" __global__ void __launch_bounds__(dropless::kHopperThreads, 1)                                              \
        dropless_hopper_decode_down_##tokens##_##suffix(const __grid_constant__ dropless::HopperDecodeDownArguments args) { \
        using namespace dropless;                                                                                          \
        run_hopper<DecodeEngine<T, tokens>>(DecodeDownJob<T, tokens>(args));                                               \
    }

HOPPER_DECODE(16, bf16, bf16)
HOPPER_DECODE(16, f16, f16)
HOPPER_DECODE(64, bf16, bf16)
HOPPER_DECODE(64, f16, f16)
