// The main loop of hopper_tile.cuh with the multiplying warpgroups taking turns: each computes every second tile of a block alone, all 128 rows
// of it, so that one multiplies while the other writes. For products whose results take about as long to write as to sum; tiles are 128 or 192 columns
// wide, for their sums to fit into one warpgroup's registers.
#pragma once

#include "hopper_tails.cuh"

namespace dropless {

constexpr int kTurnParts = kTile / kWarpgroupRows;  // products that a warpgroup has of each stage

template <class T, Layout a, Layout b> struct TurnEngine : HopperEngine<T, a, b, 128, 6> {
    static constexpr bool kTurns = true;
    static constexpr int kGatherRegisters = 40, kGatherProductRegisters = 232;
};

// Tiles of 128 x 192, the widest whose sums one warpgroup can hold: for results that are only rounded, of products with few stages.
template <class T, Layout a, Layout b> struct WideTurnEngine : HopperEngine<T, a, b, 192, 4> {
    static constexpr bool kTurns = true;
};

// How many of a tile's products have rows that are stored.
__device__ __forceinline__ int turn_parts(int rows) { return rows > kWarpgroupRows ? kTurnParts : 1; }

// The other warpgroup may go on: this warp has seen all stages of its tile full. Not before: whoever passes over stages waits for a later phase of
// their barriers, and could take the phase before the one in progress for it, whose parity is the same.
template <class Engine> __device__ __forceinline__ void pass_turn(HopperShared<Engine> &shared) {
    int other = threadIdx.x / kWarpgroup == 1 ? 1 : 0;
    if (threadIdx.x % 32 == 0) barrier_arrive(&shared.turn[other]);
}

// Waits for the stages of one tile, of which the first `parts` products have rows that are stored.
template <int parts, class Engine, class Job, class Tile>
__device__ __forceinline__ void sum_own_tile(
    const Job &job, const Tile &tile, int steps, HopperShared<Engine> &shared, Ring<Engine::kStages> &ring,
    float (&sums)[kTurnParts][Engine::kSums]) {
    using Product = WarpgroupProduct<typename Engine::Element, Engine::kColumns>;
    constexpr Layout a_layout = Engine::kLayoutA, b_layout = Engine::kLayoutB;
    constexpr int a_wide = a_layout == Layout::kWideMajor, b_wide = b_layout == Layout::kWideMajor;
    int previous = 0;
#pragma unroll 1
    for (int step = 0; step < steps; step++) {
        Stage stage = shared.stage(ring.stage);
        if (!planted(Fault::kNoFullWait)) barrier_wait(stage.full, ring.parity);
        if constexpr (Job::kPrepares) job.prepare(tile, step, stage);
        uint64_t a = operand_descriptor<a_layout>(stage.a), b = operand_descriptor<b_layout>(stage.b);
        products_begin();
#pragma unroll
        for (int i = 0; i < Engine::kDepth / 16; i++) {
            uint64_t deeper_a = a + i * descriptor_step<a_layout>(), deeper_b = b + i * descriptor_step<b_layout>();
#pragma unroll
            for (int part = 0; part < parts; part++) {
                Product::template start<a_wide, b_wide>(sums[part], deeper_a + part * (kBoxBytes >> 4), deeper_b, step > 0 || i > 0);
            }
        }
        products_commit();
        if (!planted(Fault::kNoProductWait)) products_wait<1>();
        if (step > 0) give_back(shared, previous);
        previous = ring.stage;
        ring.next();
    }
    pass_turn(shared);
    products_wait<0>();
    if (steps > 0) give_back(shared, previous);
}

// The job's write takes all sums of a tile.
template <class Engine, class Job>
__device__ __forceinline__ void multiply_in_turns(const Job &job, HopperShared<Engine> &shared, int warpgroup) {
    Ring<Engine::kStages> ring(0);
    Staging staging = staging_of(shared, warpgroup);
    unsigned rank = cluster_rank();
    int64_t tiles = job.tiles();
    int turn = 0;
    unsigned parity = warpgroup == 0 ? 1 : 0;  // the first turn is the first one's
    for (int64_t n = blockIdx.x / cluster_size(); n < tiles; n += gridDim.x / cluster_size(), turn ^= 1) {
        auto tile = job.tile(n, rank);
        int steps = job.steps(tile);
        if (turn != warpgroup) {
            if (!planted(Fault::kWrongTurn)) ring.skip(steps);
            continue;
        }
        float sums[kTurnParts][Engine::kSums];
        if (!planted(Fault::kNoTurn)) barrier_wait(&shared.turn[warpgroup], parity);
        parity ^= 1;
        if (steps == 0) {
#pragma unroll
            for (int i = 0; i < kTurnParts * Engine::kSums; i++) sums[i / Engine::kSums][i % Engine::kSums] = 0.f;
        }
        if (turn_parts(tile.rows) == kTurnParts) {
            sum_own_tile<kTurnParts>(job, tile, steps, shared, ring, sums);
        } else {
            sum_own_tile<1>(job, tile, steps, shared, ring, sums);
        }
        if (tile.rows > 0) job.write(tile, sums, staging);
    }
    if (staging.lane() == 0) store_wait_read<0>();
}

}  // namespace dropless
