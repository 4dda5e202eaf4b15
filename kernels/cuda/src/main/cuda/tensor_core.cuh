// Engine of bf16 and fp16 products: mma.m16n8k16 with fp32 sums. A tile of 128 x 128 is shared by eight warps, 64 x 32 each.
//
// A stage holds 32 of the summed dimension of both operands, in chunks of 8 elements (16 bytes). An operand that is
// depth-major lies as [128][32], the other as [32][128]; chunks are permuted within a row so that neither the copies nor
// ldmatrix meet a bank conflict.
#pragma once

#include "operand.cuh"

namespace dropless {

template <class T> struct TensorCore {
    using Element = T;
    static constexpr int kDepth = 32;
    static constexpr int kStages = 4;
    static constexpr int kChunk = 8;

    struct alignas(128) Stage {
        T a[kTile * kDepth];
        T b[kTile * kDepth];
        float scale[kDepth];
    };

    // Sums of a thread: 4 x 4 fragments of 16 x 8.
    struct Sums {
        float fragment[4][4][4];

        __device__ __forceinline__ void clear() {
#pragma unroll
            for (int i = 0; i < 64; i++) fragment[i / 16][i / 4 % 4][i % 4] = 0.f;
        }

        // Writes them to a tile in shared memory.
        __device__ __forceinline__ void store(float *tile, int stride) const {
            int lane = threadIdx.x % 32;
            float *corner = tile + (warp_row() + lane / 4) * stride + warp_column() + lane % 4 * 2;
#pragma unroll
            for (int i = 0; i < 4; i++) {
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    float *p = corner + i * 16 * stride + j * 8;
                    p[0] = fragment[i][j][0];
                    p[1] = fragment[i][j][1];
                    p[8 * stride] = fragment[i][j][2];
                    p[8 * stride + 1] = fragment[i][j][3];
                }
            }
        }
    };

    static __device__ __forceinline__ int warp_row() { return threadIdx.x / 32 / 4 * 64; }
    static __device__ __forceinline__ int warp_column() { return threadIdx.x / 32 % 4 * 32; }

    // Where a chunk lies in a stage. Eight rows of one chunk, and eight chunks of one row, are in different banks.
    template <Layout layout> static __device__ __forceinline__ int place(int row, int chunk) {
        if constexpr (layout == Layout::kDepthMajor) {
            return row * kDepth + (chunk ^ (row / 2 % 4)) * kChunk;
        } else {
            return row * kTile + (chunk ^ (row % 8)) * kChunk;
        }
    }

    // Starts the copies of one stage of an operand: 16 bytes each where alignment allows, else element by element.
    template <Layout layout, class Rows> static __device__ __forceinline__ void load(T *stage, const Operand<T, Rows> &operand) {
        constexpr int chunks = (layout == Layout::kDepthMajor ? kDepth : kTile) / kChunk;
        bool aligned = operand.aligned();
#pragma unroll
        for (int i = 0; i < kTile * kDepth / kChunk / kThreads; i++) {
            int chunk = threadIdx.x + i * kThreads;
            int64_t row = operand.rows.row(chunk / chunks);
            int column = chunk % chunks * kChunk;
            int count = operand.available(row, column, kChunk);
            const T *source = operand.data + (count > 0 ? row * operand.stride + column : 0);
            T *target = stage + place<layout>(chunk / chunks, chunk % chunks);
            if (aligned) {
                copy_async_16(target, source, count * static_cast<int>(sizeof(T)));
            } else {
                Pack<T> pack;
#pragma unroll
                for (int j = 0; j < kChunk; j++) pack.element[j] = j < count ? source[j] : from_float<T>(0.f);
                *reinterpret_cast<Pack<T> *>(target) = pack;
            }
        }
    }

    // Fragments of A: rows row..row+15, depth..depth+15.
    template <Layout layout> static __device__ __forceinline__ void load_a(unsigned (&d)[4], const T *stage, int row, int depth) {
        int lane = threadIdx.x % 32;
        if constexpr (layout == Layout::kDepthMajor) {
            load_matrices(d, stage + place<layout>(row + lane % 16, depth / kChunk + lane / 16));
        } else {
            load_matrices_transposed(
                d, stage + place<layout>(depth + lane % 8 + lane / 16 * 8, row / kChunk + lane / 8 % 2));
        }
    }

    // Fragments of B for two neighbours: columns column..column+15, depth..depth+15.
    template <Layout layout>
    static __device__ __forceinline__ void load_b(unsigned (&d)[4], const T *stage, int column, int depth) {
        int lane = threadIdx.x % 32;
        if constexpr (layout == Layout::kDepthMajor) {
            load_matrices(d, stage + place<layout>(column + lane % 8 + lane / 16 * 8, depth / kChunk + lane / 8 % 2));
        } else {
            load_matrices_transposed(d, stage + place<layout>(depth + lane % 16, column / kChunk + lane / 16));
        }
    }

    // Multiplies a pair of elements at depths k and k + 1 by their weights in fp32, and rounds.
    static __device__ __forceinline__ void scale_pair(unsigned &pair, const float *scale) {
        T element[2];
        memcpy(element, &pair, sizeof pair);
        element[0] = from_float<T>(to_float(element[0]) * scale[0]);
        element[1] = from_float<T>(to_float(element[1]) * scale[1]);
        memcpy(&pair, element, sizeof pair);
    }

    static __device__ __forceinline__ void scale_a(unsigned (&a)[4], const float *scale) {
        const float *own = scale + threadIdx.x % 4 * 2;
        scale_pair(a[0], own);
        scale_pair(a[1], own);
        scale_pair(a[2], own + 8);
        scale_pair(a[3], own + 8);
    }

    // Adds the product of one stage; warps whose rows all lie beyond `rows` have nothing to do.
    template <Layout a_layout, Layout b_layout>
    static __device__ __forceinline__ void multiply(const Stage &stage, bool scaled, int rows, Sums &sums) {
        if (warp_row() >= rows) return;
#pragma unroll
        for (int depth = 0; depth < kDepth; depth += 16) {
            unsigned b[2][4];
#pragma unroll
            for (int j = 0; j < 2; j++) load_b<b_layout>(b[j], stage.b, warp_column() + j * 16, depth);
#pragma unroll
            for (int i = 0; i < 4; i++) {
                unsigned a[4];
                load_a<a_layout>(a, stage.a, warp_row() + i * 16, depth);
                if (scaled) scale_a(a, stage.scale + depth);
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    multiply_add<T>(sums.fragment[i][j], a, b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
                }
            }
        }
    }
};

}  // namespace dropless
