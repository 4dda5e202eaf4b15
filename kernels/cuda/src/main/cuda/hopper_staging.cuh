// How a warpgroup's sums leave where they are only rounded: as boxes of 64 x 64, staged in shared memory.
#pragma once

#include "hopper_engine.cuh"

namespace dropless {

// Two boxes in shared memory through which a warpgroup's results go to global memory, 64 columns at a time: whole boxes by the copy
// engine, which reads them later; rows of a tile that is not full as 16-byte stores.
struct Staging {
    unsigned char (*buffer)[kBoxBytes];
    float *row;     // of 64 values, one for each column of a box
    int warpgroup;  // 0 or 1
    int used;

    __device__ __forceinline__ int lane() const { return threadIdx.x % kWarpgroup; }
    __device__ __forceinline__ void meet() const { part_barrier(1 + warpgroup, kWarpgroup); }

    // Stores 64 columns of the warpgroup's rows, of which `rows` are there, at (column, row) of a matrix, columns from `columns` on left out;
    // value(i) is the thread's i-th sum of these columns. All threads of the warpgroup.
    template <class T, class Value>
    __device__ __forceinline__ void store(
        const TensorMap *map, const Matrix &matrix, int64_t columns, int64_t column, int64_t row, int rows, Value value) {
        unsigned char *box = buffer[used++ % kStagingBuffers];
        if (lane() == 0 && !planted(Fault::kStaleStaging)) store_wait_read<kStagingBuffers - 1>();
        meet();
        int own_row = lane() / 32 * 16 + lane() % 16, own_chunk = lane() % 32 / 16;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            store_matrices(box + swizzled(own_row, j * 2 + own_chunk), pack_pair<T>(value(j * 8), value(j * 8 + 1)),
                           pack_pair<T>(value(j * 8 + 2), value(j * 8 + 3)), pack_pair<T>(value(j * 8 + 4), value(j * 8 + 5)),
                           pack_pair<T>(value(j * 8 + 6), value(j * 8 + 7)));
        }
        if (!planted(Fault::kNoProxyFence)) fence_async_proxy();
        meet();
        bool whole = (rows >= kWarpgroupRows && column + kBoxColumns <= columns) || planted(Fault::kTailOverwrite);
        if (lane() == 0) {
            if (whole) store_box(map, box, static_cast<int>(column), static_cast<int>(row));
            store_commit();  // one group for each use of a box, so that their number tells which box is free
        }
        if (!whole) store_rows<T>(box, matrix, columns - column, column, row, rows);
    }

    // Adds elements of any type, from `index` on, to 64 columns of sums, from `first` on, of which `columns` are there. They pass through shared memory: loaded
    // by each thread that needs them, their types told apart each time, they would take more registers than there are.
    template <int count>
    __device__ __forceinline__ void add_row(
        const Matrix &source, int64_t index, int64_t columns, float (&sums)[count], int first) const {
        meet();
        if (lane() < kBoxColumns) row[lane()] = lane() < columns ? load_element(source.data, source.type, index + lane()) : 0.f;
        meet();
#pragma unroll
        for (int i = 0; i < 32; i += 4) {
            const float *pair = row + i * 2 + lane() % 4 * 2;
            sums[first + i] += pair[0];
            sums[first + i + 1] += pair[1];
            sums[first + i + 2] += pair[0];
            sums[first + i + 3] += pair[1];
        }
    }

    template <class T>
    __device__ __forceinline__ void store_rows(
        const unsigned char *box, const Matrix &matrix, int64_t columns, int64_t column, int64_t row, int rows) const {
        T *target = static_cast<T *>(matrix.data) + row * matrix.stride + column;
        for (int i = lane(); i < kWarpgroupRows * 8; i += kWarpgroup) {
            int r = i / 8, chunk = i % 8;
            if (r >= rows || chunk * 8 >= columns) continue;
            *reinterpret_cast<Pack<T> *>(target + r * matrix.stride + chunk * 8) =
                *reinterpret_cast<const Pack<T> *>(box + swizzled(r, chunk));
        }
    }
};

// Calls write(above, sums) for every 64 rows that a warpgroup has of a tile with so many rows, `above` of which are before them: for its half
template <class Sum, int n, class Write>
__device__ __forceinline__ void for_own_rows(const Staging &staging, int, Sum (&sums)[n], Write write) {
    write(staging.warpgroup * kWarpgroupRows, sums);
}

// or, where the tile is its own, for both.
template <class Sum, int parts, int n, class Write>
__device__ __forceinline__ void for_own_rows(const Staging &, int rows, Sum (&sums)[parts][n], Write write) {
#pragma unroll
    for (int part = 0; part < parts; part++) {
        if (part == 0 || rows > part * kWarpgroupRows) write(part * kWarpgroupRows, sums[part]);
    }
}

template <class Engine> __device__ __forceinline__ Staging staging_of(HopperShared<Engine> &shared, int warpgroup) {
    if constexpr (Engine::kRowBoxes == 1) {
        return {shared.staging.box[warpgroup], shared.staging.row[warpgroup], warpgroup, 0};
    } else {
        return {nullptr, nullptr, warpgroup, 0};
    }
}

}  // namespace dropless
