// Sums of Hopper products written as runs of eight neighbours in fp32, for results of any type, results that are added to, and whatever is computed
// from them on the way. (Results that are only rounded go through Staging, whole boxes at a time.)
//
// Warps write their 16 rows independently of each other, 8 x 128 sums at a time, through 4 KiB of the warpgroup's staging memory.
//
// A writer has
//   kTransposed                                whether a run goes along a column of the tile
//   fetch(row, column)                         starts what the run there needs from global memory; two runs ahead of
//   run(row, column, values, fetched)          which takes its eight sums; all lanes of a warp call both together, also beyond the last row
#pragma once

#include "hopper_tile.cuh"

namespace dropless {

constexpr int kRunRows = 8, kRunColumns = 128;                       // that a warp stages together
constexpr int kRunsPerLane = kRunRows * kRunColumns / kRun / 32;

// Where a run begins in a warp's memory: permuted, so that neither fragments nor runs of a row meet in a bank.
__device__ __forceinline__ int run_place(int row, int run) { return row * kRunColumns + (run ^ row) * kRun; }

// Of a product's fragments rows 8 h + lane / 4, columns first .. first + 127.
template <int first, int h, int n> __device__ __forceinline__ void stage_fragments(float *memory, const float (&sums)[n]) {
    int row = threadIdx.x % 32 / 4;
#pragma unroll
    for (int j = 0; j < kRunColumns / 8; j++) {
        float *pair = memory + run_place(row, j) + threadIdx.x % 4 * 2;
        pair[0] = sums[first / 2 + 4 * j + 2 * h];
        pair[1] = sums[first / 2 + 4 * j + 2 * h + 1];
    }
}

// The n-th run of this lane, of the 64 rows of a product: where it is in the tile and in memory.
template <bool transposed, int columns> struct LaneRun {
    int row, column, in_row, in_column;

    __device__ __forceinline__ LaneRun(int n, int first_row) {
        int chunk = n / kRunsPerLane, i = n % kRunsPerLane, lane = threadIdx.x % 32;
        in_row = transposed ? 0 : i * 2 + lane / 16;
        in_column = transposed ? i * 32 + lane : lane % 16 * kRun;
        row = first_row + chunk / (columns / kRunColumns) * kRunRows + in_row;
        column = chunk % (columns / kRunColumns) * kRunColumns + in_column;
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

// Writes the 64 rows of one product from `first_row` on of a tile of `columns` columns. `n` sums of a thread: columns / 2.
template <class Writer, int n>
__device__ __forceinline__ void write_runs(const Writer &writer, int first_row, const float (&sums)[n], const Staging &staging) {
    constexpr int columns = n * 2, chunks = 2 * columns / kRunColumns;
    static_assert(chunks == 2 || chunks == 4, "chunks are written out below");
    using Run = LaneRun<Writer::kTransposed, columns>;
    int warp = staging.lane() / 32;
    float *memory = reinterpret_cast<float *>(staging.buffer[0]) + warp * kRunRows * kRunColumns;
    first_row += warp * 2 * kRunRows;
    auto fetch = [&](int i) {
        Run run(i, first_row);
        return writer.fetch(run.row, run.column);
    };
    auto now = fetch(0), soon = fetch(1);
    // Sums are in registers, which only constants can index; what is done with a run is long, and written out once.
#pragma unroll 1
    for (int chunk = 0; chunk < chunks; chunk++) {
        if (!planted(Fault::kStaleStaging)) __syncwarp();
        if constexpr (chunks == 2) {
            if (chunk == 0) {
                stage_fragments<0, 0>(memory, sums);
            } else {
                stage_fragments<0, 1>(memory, sums);
            }
        } else {
            switch (chunk) {
                case 0: stage_fragments<0, 0>(memory, sums); break;
                case 1: stage_fragments<kRunColumns, 0>(memory, sums); break;
                case 2: stage_fragments<0, 1>(memory, sums); break;
                default: stage_fragments<kRunColumns, 1>(memory, sums); break;
            }
        }
        if (!planted(Fault::kNoTileBarrier)) __syncwarp();
#pragma unroll 1
        for (int i = chunk * kRunsPerLane; i < (chunk + 1) * kRunsPerLane; i++) {
            auto later = fetch(i + 2);
            Run run(i, first_row);
            float v[kRun];
            run.read(memory, v);
            writer.run(run.row, run.column, v, now);
            now = soon;
            soon = later;
        }
    }
    __syncwarp();
}

// Nothing fetched.
struct Nothing {};

// Eight neighbours of a matrix of 16-bit elements as they lie there, of which all or none are there.
template <class T> __device__ __forceinline__ Pack<T> fetch_pack(const T *p, bool there) {
    return there ? *reinterpret_cast<const Pack<T> *>(p) : Pack<T>{};
}

template <class T> __device__ __forceinline__ void unpack(const Pack<T> &pack, float (&v)[kRun]) {
#pragma unroll
    for (int i = 0; i < kRun; i++) v[i] = to_float(pack.element[i]);
}

}  // namespace dropless
