// The main loop of all Hopper products: persistent blocks of one warpgroup that copies and two that multiply, tiles of 128 x kColumns, stages of
// 64 of the summed dimension, four or more of them in flight.
//
// A job says what is computed; a schedule (hopper_schedule.cuh), which tile comes next. Of a job the loop wants
//
//   tiles(), tile(n, rank)             number of tiles of clusters, the n-th one as this block sees it; tile.rows of its rows count
//   steps(tile)                        stages of the summed dimension
//   acquire_maps()                     calls acquire_tensor_map for each map that load and write use
//   load(tile, step, stage)            one thread: arrives at stage.full, expecting the bytes of the boxes whose copies it starts
//   Gather, where kGathers             made from (job, tile) by each of 128 threads; load(step, stage) starts their cp.async copies
//   prepare(tile, step, stage)         where kPrepares: what the multiplying threads do to a stage before its products
//   write(tile, sums, staging)         a warpgroup's sums: 64 rows, laid out as WarpgroupProduct says
//   next_part(tile)                    optional: turns the tile into its next part, which is summed and written by itself; false if none is left
//
// Copies meet products at barriers: `full` of a stage ends a phase when its bytes and arrivals are complete, `empty` when the eight multiplying
// warps of all blocks of the cluster have read it. Products of one stage run while those of the stage before are waited for. Every tile is
// summed by one block in one order: results do not depend on the grid, the cluster, or the order of tiles.
//
// Launch: kHopperThreads threads, sizeof(HopperShared<Engine>) bytes of dynamic shared memory, any grid of 1 or more clusters of 1 or 2 blocks; no
// more blocks than multiprocessors are useful.
#pragma once

#include "hopper_copies.cuh"
#include "hopper_order.cuh"
#include "hopper_staging.cuh"

namespace dropless {

// One lane of each warp tells all blocks of the cluster that it has read a stage.
template <class Engine> __device__ __forceinline__ void give_back(HopperShared<Engine> &shared, int stage) {
    unsigned lane = threadIdx.x % 32;
    if (lane < cluster_size()) barrier_arrive(&shared.empty[stage], lane);
}

// The products of one stage with the 64 rows of a warpgroup.
template <class Engine>
__device__ __forceinline__ void start_products(const Stage &stage, int warpgroup, bool accumulate, float (&sums)[Engine::kSums]) {
    constexpr Layout a_layout = Engine::kLayoutA, b_layout = Engine::kLayoutB;
    constexpr int width = Engine::kColumns;
    uint64_t b = operand_descriptor<b_layout>(stage.b);
    products_begin();
#pragma unroll
    for (int box = 0; box < Engine::kRowBoxes; box++) {
        // Depth-major: 64 rows of 128 bytes further; wide-major: the next box of 64.
        uint64_t a = operand_descriptor<a_layout>(stage.a + (box * 2 + warpgroup) * kBoxBytes);
        auto &part = reinterpret_cast<float(&)[width / 2]>(sums[box * (width / 2)]);
#pragma unroll
        for (int i = 0; i < Engine::kDepth / 16; i++) {
            WarpgroupProduct<typename Engine::Element, width>::template start<a_layout == Layout::kWideMajor, b_layout == Layout::kWideMajor>(
                part, a + i * descriptor_step<a_layout>(), b + i * descriptor_step<b_layout>(), accumulate || i > 0);
        }
    }
    products_commit();
}

template <class Engine, class Job, class Tile>
__device__ __forceinline__ void sum_tile(
    const Job &job, const Tile &tile, int steps, HopperShared<Engine> &shared, int warpgroup, Ring<Engine::kStages> &ring,
    float (&sums)[Engine::kSums]) {
    int previous = 0;
#pragma unroll 1
    for (int step = 0; step < steps; step++) {
        Stage stage = shared.stage(ring.stage);
        if (!planted(Fault::kNoFullWait)) barrier_wait(stage.full, ring.parity);
        if constexpr (Job::kPrepares) job.prepare(tile, step, stage);
        start_products<Engine>(stage, warpgroup, step > 0, sums);
        if (!planted(Fault::kNoProductWait)) products_wait<1>();
        if (step > 0) give_back(shared, previous);
        previous = ring.stage;
        ring.next();
    }
    products_wait<0>();
    if (steps > 0) give_back(shared, previous);
}

// A tile has no rows for this warpgroup: it gives the stages back as they come.
template <class Engine, class Job, class Tile>
__device__ __forceinline__ void pass_stages(
    const Job &job, const Tile &tile, int steps, HopperShared<Engine> &shared, Ring<Engine::kStages> &ring) {
    for (int step = 0; step < steps; step++) {
        barrier_wait(&shared.full[ring.stage], ring.parity);
        if constexpr (Job::kPrepares) job.prepare(tile, step, shared.stage(ring.stage));
        give_back(shared, ring.stage);
        ring.next();
    }
}

template <class Engine, class Job>
__device__ __forceinline__ void multiply(const Job &job, HopperShared<Engine> &shared, int warpgroup) {
    Ring<Engine::kStages> ring(0);
    Staging staging = staging_of(shared, warpgroup);
    unsigned rank = cluster_rank();
    int64_t tiles = job.tiles();
    for (int64_t n = blockIdx.x / cluster_size(); n < tiles; n += gridDim.x / cluster_size()) {
        auto tile = job.tile(n, rank);
        do {
            int steps = job.steps(tile);
            if (tile.rows > warpgroup * kWarpgroupRows) {
                float sums[Engine::kSums];
                if (steps == 0) {
#pragma unroll
                    for (int i = 0; i < Engine::kSums; i++) sums[i] = 0.f;
                }
                sum_tile(job, tile, steps, shared, warpgroup, ring, sums);
                job.write(tile, sums, staging);
            } else {
                pass_stages<Engine>(job, tile, steps, shared, ring);
            }
        } while (next_part(job, tile, 0));
    }
    if (staging.lane() == 0) store_wait_read<0>();
}

// In hopper_turns.cuh.
template <class Engine, class Job>
__device__ __forceinline__ void multiply_in_turns(const Job &job, HopperShared<Engine> &shared, int warpgroup);

template <class Engine, class Job> __device__ __forceinline__ void run_hopper(const Job &job) {
    ALIGNED_SHARED_MEMORY(HopperShared<Engine>, shared);
    if (threadIdx.x == 0) {
        int readers = kMultiplyingWarps / (Engine::kTurns ? 2 : 1) * static_cast<int>(cluster_size());
        for (int i = 0; i < Engine::kStages; i++) {
            barrier_init(&shared.full[i], (Job::kGathers ? kWarpgroup + 1 : 1) + (planted(Fault::kWrongArrivals) ? 1 : 0));
            barrier_init(&shared.empty[i], readers);
        }
        if (Engine::kTurns) {
            for (int i = 0; i < 2; i++) barrier_init(&shared.turn[i], kMultiplyingWarps / 2);
        }
        fence_barrier_init();
    }
    __syncwarp();
    cluster_barrier();
    wait_for_earlier_launches();
    if constexpr (Engine::kOrderedExperts > 0) order_experts(job.args.plan, shared);
    if (threadIdx.x % kWarpgroup == 0) job.acquire_maps();
    int warpgroup = __shfl_sync(kAllLanes, static_cast<int>(threadIdx.x) / kWarpgroup, 0);
    if (warpgroup == 0) {
        give_registers<Job::kGathers ? Engine::kGatherRegisters : Engine::kBoxRegisters>();
        if constexpr (Job::kGathers) {
            copy_gathered<Engine>(job, shared);
        } else if (threadIdx.x == 0) {
            copy_boxes<Engine>(job, shared);
        }
        __syncwarp();
    } else {
        take_registers<Job::kGathers ? Engine::kGatherProductRegisters : Engine::kBoxProductRegisters>();
        if constexpr (Engine::kTurns) {
            multiply_in_turns<Engine>(job, shared, warpgroup - 1);
        } else {
            multiply<Engine>(job, shared, warpgroup - 1);
        }
        __syncwarp();
    }
    cluster_barrier();  // a block stays while its partner may copy to it or arrive at its barriers
}

}  // namespace dropless
