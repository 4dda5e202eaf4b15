// Operands of a tile product as they lie in global memory: a row-major matrix, which of its rows take part, and how many
// elements of each.
#pragma once

#include "matrix.cuh"

namespace dropless {

constexpr int kTile = 128;     // rows and columns of a tile of the result
constexpr int kThreads = 256;  // of a block of any tile kernel
constexpr int kBlocksPerMultiprocessor = 2;  // what registers and shared memory of tile kernels leave room for

// Which dimension of an operand is contiguous in memory.
enum class Layout {
    kDepthMajor,  // the summed dimension: rows of the result run across matrix rows (A of a product N, B of a product T)
    kWideMajor,   // a dimension of the result: the summed dimension runs across matrix rows (A of T, B of N)
};

// Matrix rows first, first + 1, ...
struct ConsecutiveRows {
    int64_t first;
    int count;

    __device__ __forceinline__ int64_t row(int i) const {
        return i < count || planted(Fault::kNoRowMask) ? first + i : -1;
    }
    __device__ __forceinline__ ConsecutiveRows skip(int rows) const { return {first + rows, count - rows}; }
};

// Matrix rows index[0], index[1], ...
struct GatheredRows {
    const int *index;
    int count;

    __device__ __forceinline__ int64_t row(int i) const {
        return i < count || planted(Fault::kNoRowMask) ? index[i] : -1;
    }
    __device__ __forceinline__ GatheredRows skip(int rows) const { return {index + rows, count - rows}; }
};

// The first `width` rows of a tile are gate rows first, first + 1, ...; what follows are the up rows that belong to them. With
// width = kTile there are gate rows only.
struct GateAndUpRows {
    int64_t first;
    int64_t up_distance;  // from a gate row to its up row
    int count;            // of gate rows
    int width;            // kTile / 2 or kTile

    __device__ __forceinline__ int64_t row(int i) const {
        int gate = i & (width - 1);
        return gate < count || planted(Fault::kNoRowMask) ? first + gate + (i < width ? 0 : up_distance) : -1;
    }
};

// One operand of one tile, at full depth or, after `at`, of one stage.
template <class T, class Rows> struct Operand {
    const T *data;
    int64_t stride;
    Rows rows;
    int run;  // elements of each row, from its beginning, that are there; the others enter as zero

    // Cuts off the first `depth` of the summed dimension; `left` of it remain.
    template <Layout layout> __device__ __forceinline__ Operand at(int depth, int left) const {
        if constexpr (layout == Layout::kDepthMajor) {
            return {data + depth, stride, rows, left};
        } else {
            return {data, stride, rows.skip(depth), run};
        }
    }

    // Whether 16-byte copies of it are possible.
    __device__ __forceinline__ bool aligned() const {
        return ((reinterpret_cast<uintptr_t>(data) | static_cast<uintptr_t>(stride * sizeof(T))) & 15) == 0;
    }

    // How many of `most` elements from `column` on are there in a matrix row, which may be absent (-1).
    __device__ __forceinline__ int available(int64_t row, int column, int most) const {
        if (planted(Fault::kNoRunMask)) return row < 0 ? 0 : most;
        return row < 0 ? 0 : clamp_count(run - column, most);
    }
};

// The two operands of one product, and the weights of its summed dimension where it has any.
template <class A, class B> struct Product {
    A a;
    B b;
    int depth;
    const float *scale = nullptr;      // weight of a row, by slot; null for one
    const int *scale_index = nullptr;  // slot of each summed row

    int done = 0;

    __device__ __forceinline__ bool valid() const { return done < depth; }
    __device__ __forceinline__ int left() const { return depth - done; }
    __device__ __forceinline__ void next(int step) { done += step; }
    template <Layout layout> __device__ __forceinline__ A stage_a() const { return a.template at<layout>(done, left()); }
    template <Layout layout> __device__ __forceinline__ B stage_b() const { return b.template at<layout>(done, left()); }
};

}  // namespace dropless
