// The main loop that all products share: tiles of the result, one after the other, each the sum over stages of a product.
//
// A job says what is computed: `tiles()` how many tiles there are (read from device memory, the host need not know),
// `tile(n)` the n-th one, `product(tile)` where its operands come from, `write(tile, sums)` where its sums go. Blocks are
// persistent: block b takes tiles b, b + grid, ...; each tile is summed by one block in one order, so results do not depend on
// the grid. Copies run kStages - 1 stages ahead of the arithmetic.
//
// Launch: kThreads threads, sizeof(TileShared<Engine>) bytes of dynamic shared memory, any grid of 1 or more blocks.
#pragma once

#include "float_units.cuh"
#include "tensor_core.cuh"

namespace dropless {

constexpr int kSumStride = kTile + 4;

// While a tile is summed shared memory holds its stages, afterwards its sums in fp32. What the tile is lies beside them rather than
// in the registers of every thread.
template <class Engine> struct TileShared {
    union {
        typename Engine::Stage stage[Engine::kStages];
        float sums[kTile * kSumStride];
    };
    alignas(16) unsigned char tile[96];

    __device__ TileShared() {}
};

template <class Engine, Layout a_layout, Layout b_layout, class Product>
__device__ __forceinline__ void load_stage(typename Engine::Stage &stage, Product &product) {
    Engine::template load<a_layout>(stage.a, product.template stage_a<a_layout>());
    Engine::template load<b_layout>(stage.b, product.template stage_b<b_layout>());
    int thread = threadIdx.x;
    if (product.scale != nullptr && thread < Engine::kDepth) {
        bool there = thread < product.left();
        const float *source = product.scale + (there ? product.scale_index[product.done + thread] : 0);
        copy_async_4(&stage.scale[thread], source, there ? 4 : 0);
    }
    product.next(Engine::kDepth);
}

template <class Engine, Layout a_layout, Layout b_layout, class Product>
__device__ __forceinline__ void sum_stages(
    TileShared<Engine> &shared, Product product, int rows, typename Engine::Sums &sums) {
    constexpr int ahead = Engine::kStages - 1;
    bool scaled = product.scale != nullptr && !planted(Fault::kNoScale);
    int loaded = 0;
    for (; loaded < ahead && product.valid(); loaded++) {
        load_stage<Engine, a_layout, b_layout>(shared.stage[loaded], product);
        copy_async_commit();
    }
    for (int stage = loaded; stage < ahead; stage++) copy_async_commit();  // one group per stage, loaded or not
    for (int done = 0; done < loaded; done++) {
        if (planted(Fault::kWrongCopyCount)) {
            copy_async_wait<ahead>();
        } else if (!planted(Fault::kNoCopyWait)) {
            copy_async_wait<ahead - 1>();
        }
        if (!planted(Fault::kNoStageBarrier)) __syncthreads();
        if (product.valid()) {  // into the stage that was read before the barrier
            load_stage<Engine, a_layout, b_layout>(shared.stage[loaded % Engine::kStages], product);
            loaded++;
        }
        copy_async_commit();
        Engine::template multiply<a_layout, b_layout>(shared.stage[done % Engine::kStages], scaled, rows, sums);
    }
    __syncthreads();
}

template <class Engine, Layout a_layout, Layout b_layout, class Job> __device__ __forceinline__ void run_tiles(const Job &job) {
    SHARED_MEMORY(TileShared<Engine>, shared);
    using Tile = decltype(job.tile(0));
    static_assert(sizeof(Tile) <= sizeof shared.tile, "a tile does not fit into the memory reserved for it");
    Tile &tile = *reinterpret_cast<Tile *>(shared.tile);
    int64_t tiles = job.tiles();
    for (int64_t n = blockIdx.x; n < tiles; n += gridDim.x) {
        if (threadIdx.x == 0) tile = job.tile(n);
        __syncthreads();
        if (tile.rows > 0) {
            typename Engine::Sums sums;
            sums.clear();
            sum_stages<Engine, a_layout, b_layout>(shared, job.product(tile), tile.rows, sums);
            sums.store(shared.sums, kSumStride);
            __syncthreads();
            job.write(tile, shared.sums);
        }
        if (!planted(Fault::kNoTileBarrier)) __syncthreads();  // before the next tile and its copies
    }
}

// Runs of eight columns of a tile of sums, shared out among the threads: f(row, column, values). All threads call f equally
// often, and kColumns / 8 consecutive ones have the same row.
template <int kColumns, class F> __device__ __forceinline__ void for_each_run(F f) {
    constexpr int runs = kColumns / kRun;
#pragma unroll 1
    for (int i = threadIdx.x; i < kTile * runs; i += kThreads) f(i / runs, i % runs * kRun);
}

__device__ __forceinline__ void read_sums(const float *sums, int row, int column, float (&v)[kRun]) {
    load_run(sums + row * kSumStride + column, kRun, v);
}

__device__ __forceinline__ bool stores_row(int row, int rows) { return row < rows || planted(Fault::kTailOverwrite); }

// Maps a linear tile number to (row of tiles, column of tiles): groups of some rows of tiles, in each of them column by column,
// so that blocks that run together share operands in the L2 cache.
template <class Int> struct TileOrderOf {
    Int row, column;

    __device__ TileOrderOf(Int n, Int rows, Int columns, Int group = 8) {
        Int first = n / (group * columns) * group;
        Int height = rows - first < group ? rows - first : group;
        Int in_group = n - first * columns;
        row = first + in_group % height;
        column = in_group / height;
    }
};
using TileOrder = TileOrderOf<int64_t>;

}  // namespace dropless
