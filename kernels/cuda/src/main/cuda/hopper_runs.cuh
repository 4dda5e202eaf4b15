// Sums of Hopper products written as runs of eight neighbours in fp32, for results of any type, results that are added to, and whatever is computed
// from them on the way. (Results that are only rounded go through Staging, whole boxes at a time.)
//
// Warps write their 16 rows independently of each other, 8 x 128 sums at a time, through 4 KiB of the warpgroup's staging memory.
//
// A writer has
//   kTransposed                                whether a run goes along a column of the tile
//   kAhead                                     how many runs ahead, 1 or 2, it
//   fetch(row, column)                         starts what the run there needs from global memory, before
//   run(row, column, values, fetched)          which takes its eight sums; all lanes of a warp call both together, also beyond the last row
#pragma once

#include "hopper_tile.cuh"

namespace dropless {

constexpr int kRunRows = 8, kRunColumns = 128;                       // that a warp stages together
constexpr int kRunsPerLane = kRunRows * kRunColumns / kRun / 32;

// Where a run begins in a warp's memory: permuted, so that neither fragments nor runs of a row meet in a bank.
__device__ __forceinline__ int run_place(int row, int run) { return row * kRunColumns + (run ^ row) * kRun; }

// Sums of a warpgroup are written chunk by chunk: part of 64 rows, then upper or lower rows of fragments, then 128 columns.
template <int parts, int sums_of_part> struct RunChunks {
    static constexpr int kAcross = sums_of_part * 2 / kRunColumns;
    static constexpr int kOfPart = 2 * kAcross;
    static constexpr int kAll = parts * kOfPart;
};

// Of one chunk, this lane's fragments: row lane / 4 of eight.
template <int chunk, int parts, int n> __device__ __forceinline__ void stage_fragments(float *memory, const float (&sums)[parts][n]) {
    using Chunks = RunChunks<parts, n>;
    if constexpr (chunk < Chunks::kAll) {
        constexpr int part = chunk / Chunks::kOfPart, h = chunk % Chunks::kOfPart / Chunks::kAcross;
        constexpr int first = chunk % Chunks::kAcross * kRunColumns / 2 + 2 * h;
        int row = threadIdx.x % 32 / 4;
#pragma unroll
        for (int j = 0; j < kRunColumns / 8; j++) {
            float *pair = memory + run_place(row, j) + threadIdx.x % 4 * 2;
            pair[0] = sums[part][first + 4 * j];
            pair[1] = sums[part][first + 4 * j + 1];
        }
    }
}

// The n-th run of this lane: where it is in the tile, beginning at the warp's first row, and in memory.
template <bool transposed, class Chunks> struct LaneRun {
    int row, column, in_row, in_column;

    __device__ __forceinline__ LaneRun(int n, int first_row) {
        int chunk = n / kRunsPerLane, i = n % kRunsPerLane, lane = threadIdx.x % 32;
        in_row = transposed ? 0 : i * 2 + lane / 16;
        in_column = transposed ? i * 32 + lane : lane % 16 * kRun;
        row = first_row + chunk / Chunks::kOfPart * kWarpgroupRows + chunk % Chunks::kOfPart / Chunks::kAcross * kRunRows + in_row;
        column = chunk % Chunks::kAcross * kRunColumns + in_column;
    }

    __device__ __forceinline__ void read(const float *memory, float (&v)[kRun]) const {
        if constexpr (transposed) {
#pragma unroll
            for (int i = 0; i < kRun; i++) v[i] = memory[run_place(i, in_column / kRun) + in_column % kRun];
        } else {
            load_run(memory + run_place(in_row, in_column / kRun), kRun, v);
        }
    }
};

// Writes the first `used` parts of a warpgroup's sums, 64 rows each; the first row of the tile in them is `first_row`.
template <class Writer, int parts, int n>
__device__ __forceinline__ void write_runs(
    const Writer &writer, int first_row, const float (&sums)[parts][n], int used, const Staging &staging) {
    using Chunks = RunChunks<parts, n>;
    using Run = LaneRun<Writer::kTransposed, Chunks>;
    static_assert(Chunks::kAll <= 4, "chunks are written out below");
    int warp = staging.lane() / 32, last = used * Chunks::kOfPart;
    float *memory = reinterpret_cast<float *>(staging.buffer[0]) + warp * kRunRows * kRunColumns;
    first_row += warp * 2 * kRunRows;
    auto fetch = [&](int i) {
        Run run(i < last * kRunsPerLane ? i : 0, first_row);
        return writer.fetch(run.row, run.column);
    };
    auto now = fetch(0), soon = now;
    if (Writer::kAhead > 1) soon = fetch(1);
    // Sums are in registers, which only constants can index; what is done with a run is long, and written out once.
#pragma unroll 1
    for (int chunk = 0; chunk < last; chunk++) {
        if (!planted(Fault::kStaleStaging)) __syncwarp();
        switch (chunk) {
            case 0: stage_fragments<0>(memory, sums); break;
            case 1: stage_fragments<1>(memory, sums); break;
            case 2: stage_fragments<2>(memory, sums); break;
            default: stage_fragments<3>(memory, sums); break;
        }
        if (!planted(Fault::kNoTileBarrier)) __syncwarp();
#pragma unroll 1
        for (int i = chunk * kRunsPerLane; i < (chunk + 1) * kRunsPerLane; i++) {
            auto later = fetch(i + Writer::kAhead);
            Run run(i, first_row);
            float v[kRun];
            run.read(memory, v);
            writer.run(run.row, run.column, v, now);
            now = Writer::kAhead > 1 ? soon : later;
            soon = later;
        }
    }
    __syncwarp();
}

// The same for a warpgroup that has 64 rows of a tile.
template <class Writer, int n>
__device__ __forceinline__ void write_runs(const Writer &writer, const float (&sums)[n], const Staging &staging) {
    write_runs(writer, staging.warpgroup * kWarpgroupRows, reinterpret_cast<const float (&)[1][n]>(sums), 1, staging);
}

// The two elements that pack_pair packs.
template <class T> __device__ __forceinline__ void unpack_pair(unsigned bits, float (&v)[2]) {
    T pair[2];
    memcpy(pair, &bits, sizeof pair);
    v[0] = to_float(pair[0]);
    v[1] = to_float(pair[1]);
}

}  // namespace dropless
