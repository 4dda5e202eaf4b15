// Rows gathered by index as an operand whose summed dimension is contiguous.
#pragma once

#include "hopper_tile.cuh"

namespace dropless {

// Up to `most` rows of a matrix as a depth-major operand of a stage: eight threads copy the 128 bytes of a row, 16 rows in a pass.
template <class T, int most> struct GatheredOperand {
    static constexpr int kPasses = most / 16;
    const Matrix &matrix;
    int64_t depth;
    int index[kPasses];  // of the matrix's rows, or -1

    // Rows rows[0], rows[1], ...
    __device__ __forceinline__ GatheredOperand(const Matrix &m, int64_t d, const int *rows, int count) : matrix(m), depth(d) {
#pragma unroll
        for (int i = 0; i < kPasses; i++) index[i] = row(i) < count || planted(Fault::kNoRowMask) ? rows[row(i)] : -1;
    }

    // Rows first, first + 1, ...
    __device__ __forceinline__ GatheredOperand(const Matrix &m, int64_t d, int first, int count) : matrix(m), depth(d) {
#pragma unroll
        for (int i = 0; i < kPasses; i++) index[i] = row(i) < count || planted(Fault::kNoRowMask) ? first + row(i) : -1;
    }

    static __device__ __forceinline__ int row(int pass) { return pass * 16 + static_cast<int>(threadIdx.x) / 8; }

    // Rows that are not there keep what was in the stage: sums of theirs are not stored.
    __device__ __forceinline__ void copy(int step, unsigned char *operand) const {
        int chunk = static_cast<int>(threadIdx.x) % 8;
        int64_t column = int64_t{step} * kBoxColumns + chunk * 8;
        int bytes = column < depth || planted(Fault::kNoRunMask) ? 16 : 0;
        const T *source = static_cast<const T *>(matrix.data) + (bytes > 0 ? column : 0);
#pragma unroll
        for (int i = 0; i < kPasses; i++) {
            if (index[i] >= 0) copy_async_16(operand + swizzled(row(i), chunk), source + index[i] * matrix.stride, bytes);
        }
    }
};

// The rows of a tile as its operand A.
template <class T> struct GatheredA : GatheredOperand<T, kTile> {
    using GatheredOperand<T, kTile>::GatheredOperand;
    __device__ __forceinline__ void load(int step, const Stage &stage) const { this->copy(step, stage.a); }
};

}  // namespace dropless
