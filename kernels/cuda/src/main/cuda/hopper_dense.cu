// Dense products on Hopper: c = a b^T, a [M, K], b [N, K], c [M, N], all of one type.
//
// The engine's own measure, held against the vendor's library: no experts, no gather, no epilogue. Sums are fp32, rounded once.
//
// Names: dropless_hopper_matmul_nt_<bf16|f16>. Launch: see hopper_tile.cuh; useful clusters are ceil(M / (128 * blocks of a cluster)) * ceil(N / 256).
#include "hopper_tile.cuh"

namespace dropless {

struct HopperMatmulArguments {
    const TensorMap *a;  // box 64 x 128
    const TensorMap *b;  // box 64 x 128
    const TensorMap *c_map;  // box 64 x 64
    Matrix c;
    int64_t rows, columns, depth;
    int64_t group;  // of tiles of rows that are taken together
};

template <class Engine> struct HopperMatmulJob : DenseSchedule {
    static constexpr bool kGathers = false, kPrepares = false;
    const HopperMatmulArguments &args;

    __device__ explicit HopperMatmulJob(const HopperMatmulArguments &a)
        : DenseSchedule{a.rows, ceil_div(a.columns, Engine::kColumns), static_cast<int>(a.group)}, args(a) {}

    __device__ __forceinline__ void acquire_maps() const {
        acquire_tensor_map(args.a);
        acquire_tensor_map(args.b);
        acquire_tensor_map(args.c_map);
    }

    __device__ __forceinline__ int steps(const RowTile &) const { return static_cast<int>(ceil_div(args.depth, Engine::kDepth)); }

    __device__ __forceinline__ void load(const RowTile &tile, int step, const Stage &stage) const {
        expect(stage, Engine::kBytesA + Engine::kBytesB);
        load_a<Engine>(stage, args.a, tile.first_row, step * Engine::kDepth);
        load_b<Engine>(stage, args.b, tile.shares_columns, static_cast<int>(tile.column_tile) * Engine::kColumns, step * Engine::kDepth);
    }

    __device__ __forceinline__ void write(const RowTile &tile, const float (&sums)[Engine::kSums], Staging &staging) const {
        int64_t first = tile.column_tile * Engine::kColumns;
        int above = staging.warpgroup * kWarpgroupRows;
#pragma unroll
        for (int part = 0; part < Engine::kColumns / kBoxColumns; part++) {
            int64_t column = first + part * kBoxColumns;
            if (column >= args.columns) break;
            staging.store<typename Engine::Element>(
                args.c_map, args.c, args.columns, column, tile.first_row + above, tile.rows - above,
                [&](int i) { return sums[part * 32 + i]; });
        }
    }
};

}  // namespace dropless

#define HOPPER_MATMUL(suffix, T)                                                                                           \
    extern "C" __global__ void __launch_bounds__(dropless::kHopperThreads, 1)                                              \
        dropless_hopper_matmul_nt_##suffix(const __grid_constant__ dropless::HopperMatmulArguments args) {                 \
        using namespace dropless;                                                                                          \
        using Engine = HopperEngine<T, Layout::kDepthMajor, Layout::kDepthMajor>;                                          \
        run_hopper<Engine>(HopperMatmulJob<Engine>(args));                                                                 \
    }

HOPPER_MATMUL(bf16, bf16)
HOPPER_MATMUL(f16, f16)
