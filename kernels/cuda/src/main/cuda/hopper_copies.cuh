// The copying warpgroup: what it does tile by tile, and the copies that jobs start.
#pragma once

#include "hopper_engine.cuh"

namespace dropless {

// Arrives at a stage whose boxes have so many bytes.
__device__ __forceinline__ void expect(const Stage &stage, unsigned bytes) {
    barrier_arrive_expecting(stage.full, planted(Fault::kWrongBytes) ? bytes / 2 : bytes);
}

// Starts the copies of a stage of A: rows from `row` on, `depth` first of the summed dimension. The map's box is 64 x 128 where the
// summed dimension is contiguous, else 64 x 64.
template <class Engine>
__device__ __forceinline__ void load_a(const Stage &stage, const TensorMap *map, int row, int depth) {
    if constexpr (Engine::kLayoutA == Layout::kDepthMajor) {
        load_box(stage.a, map, stage.full, depth, row);
    } else {
#pragma unroll
        for (int i = 0; i < kTile / kBoxColumns; i++) {
            load_box(stage.a + i * kBoxBytes, map, stage.full, row + i * kBoxColumns, depth);
        }
    }
}

// Boxes of 64 rows that so many rows of a tile lie in.
__device__ __forceinline__ int row_boxes(int rows) { return (rows + kWarpgroupRows - 1) / kWarpgroupRows; }

// As load_a, the summed dimension contiguous, from a map in boxes of 64 x 64: only those in which there are rows of the tile.
__device__ __forceinline__ void load_a_rows(const Stage &stage, const TensorMap *map, int row, int rows, int depth) {
    for (int i = 0; i < row_boxes(rows); i++) load_box(stage.a + i * kBoxBytes, map, stage.full, depth, row + i * kWarpgroupRows);
}

// Calls start(i, box, for_both) for the boxes of B that this block is to copy: all of them for itself, or, where both blocks of the
// cluster need the same, half of them for both.
template <class Engine, int boxes, class Start>
__device__ __forceinline__ void for_own_boxes(const Stage &stage, bool shares, Start start) {
    int rank = static_cast<int>(cluster_rank());
#pragma unroll
    for (int i = 0; i < boxes; i++) {
        if (shares && i * 2 / boxes != rank) continue;
        start(i, stage.b + i * (Engine::kBytesB / boxes), shares && !planted(Fault::kNoSharing));
    }
}

__device__ __forceinline__ void load_box(
    unsigned char *box, const TensorMap *map, const Stage &stage, int column, int row, bool for_both) {
    if (for_both) {
        load_box(box, map, stage.full, column, row, uint16_t{3});
    } else {
        load_box(box, map, stage.full, column, row);
    }
}

// Starts the copies of a stage of B. The map's box is 64 x kColumns / 2 where the summed dimension is contiguous, else 64 x 64. place(i)
// is the first row of box i of the matrix, in the former case.
template <class Engine, class Place>
__device__ __forceinline__ void load_b_rows(const Stage &stage, const TensorMap *map, bool shares, int depth, Place place) {
    for_own_boxes<Engine, 2>(stage, shares, [&](int i, unsigned char *box, bool for_both) {
        load_box(box, map, stage, depth, place(i), for_both);
    });
}

template <class Engine>
__device__ __forceinline__ void load_b(const Stage &stage, const TensorMap *map, bool shares, int column, int depth) {
    if constexpr (Engine::kLayoutB == Layout::kDepthMajor) {
        load_b_rows<Engine>(stage, map, shares, depth, [&](int i) { return column + i * (Engine::kColumns / 2); });
    } else {
        for_own_boxes<Engine, Engine::kColumns / kBoxColumns>(stage, shares, [&](int i, unsigned char *box, bool for_both) {
            load_box(box, map, stage, column + i * kBoxColumns, depth, for_both);
        });
    }
}

template <class Engine, class Job> __device__ __forceinline__ void copy_boxes(const Job &job, HopperShared<Engine> &shared) {
    Ring<Engine::kStages> ring(1);
    unsigned rank = cluster_rank();
    int64_t tiles = job.tiles();
    for (int64_t n = blockIdx.x / cluster_size(); n < tiles; n += gridDim.x / cluster_size()) {
        auto tile = job.tile(n, rank);
        do {
            int steps = job.steps(tile);
            for (int step = 0; step < steps; step++) {
                if (!planted(Fault::kNoEmptyWait)) barrier_wait(&shared.empty[ring.stage], ring.parity);
                job.load(tile, step, shared.stage(ring.stage));
                ring.next();
            }
        } while (next_part(job, tile, 0));
    }
    let_later_launches_start();
}

// Copies of gathered rows are made by all threads of the warpgroup. Products read through another proxy than cp.async writes: so each thread
// waits for its own copies of a stage, fences, and arrives; some stages later, not to stand still.
template <class Engine> struct GatheredStages {
    HopperShared<Engine> &shared;
    int first = 0, open = 0;  // the oldest stage that is not reported yet, and how many there are

    template <int pending> __device__ __forceinline__ void report() {
        if (!planted(Fault::kNoCopyWait)) copy_async_wait<pending>();
        if (!planted(Fault::kNoProxyFence)) fence_async_proxy();
        barrier_arrive(&shared.full[first]);
        first = first + 1 == Engine::kStages ? 0 : first + 1;
        open--;
    }
    __device__ __forceinline__ void add() {
        copy_async_commit();
        if (++open > kGatherDelay) report<kGatherDelay>();
    }
    __device__ __forceinline__ void finish() {
        while (open > 0) report<0>();
    }
};

template <class Engine, class Job> __device__ __forceinline__ void copy_gathered(const Job &job, HopperShared<Engine> &shared) {
    Ring<Engine::kStages> ring(1);
    GatheredStages<Engine> gathered{shared};
    unsigned rank = cluster_rank();
    int64_t tiles = job.tiles();
    for (int64_t n = blockIdx.x / cluster_size(); n < tiles; n += gridDim.x / cluster_size()) {
        auto tile = job.tile(n, rank);
        do {
            int steps = job.steps(tile);
            typename Job::Gather gather(job, tile);
            for (int step = 0; step < steps; step++) {
                if (!planted(Fault::kNoEmptyWait)) barrier_wait(&shared.empty[ring.stage], ring.parity);
                Stage stage = shared.stage(ring.stage);
                if (threadIdx.x == 0) job.load(tile, step, stage);
                gather.load(step, stage);
                gathered.add();
                ring.next();
            }
        } while (next_part(job, tile, 0));
    }
    gathered.finish();
    let_later_launches_start();
}

}  // namespace dropless
