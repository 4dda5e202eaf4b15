// Engine of fp32 products: fused multiply-adds, a tile of 128 x 128 shared by 256 threads, 8 x 8 sums each.
//
// A stage holds 16 of the summed dimension of both operands, always as [16][128]: depth-major operands are transposed by
// copying single elements. Sums are added in the order of the summed dimension.
#pragma once

#include "operand.cuh"

namespace dropless {

struct FloatUnits {
    using Element = float;
    static constexpr int kDepth = 16;
    static constexpr int kStages = 4;
    static constexpr int kStride = kTile + 4;  // fewer bank conflicts of the transposing copies; keeps 16-byte alignment

    struct alignas(128) Stage {
        float a[kDepth * kStride];
        float b[kDepth * kStride];
        float scale[kDepth];
    };

    // Sums of a thread: rows 4 y + i and 64 + 4 y + i, columns 4 x + j and 64 + 4 x + j.
    struct Sums {
        float element[8][8];

        __device__ __forceinline__ void clear() {
#pragma unroll
            for (int i = 0; i < 64; i++) element[i / 8][i % 8] = 0.f;
        }

        // Writes them to a tile in shared memory.
        __device__ __forceinline__ void store(float *tile, int stride) const {
            float *corner = tile + thread_row() * stride + thread_column();
#pragma unroll
            for (int i = 0; i < 8; i++) {
#pragma unroll
                for (int j = 0; j < 8; j++) corner[(i / 4 * 64 + i % 4) * stride + j / 4 * 64 + j % 4] = element[i][j];
            }
        }
    };

    static __device__ __forceinline__ int thread_row() { return threadIdx.x / 16 * 4; }
    static __device__ __forceinline__ int thread_column() { return threadIdx.x % 16 * 4; }

    // Starts the copies of one stage of an operand.
    template <Layout layout, class Rows>
    static __device__ __forceinline__ void load(float *stage, const Operand<float, Rows> &operand) {
        if constexpr (layout == Layout::kDepthMajor) {
#pragma unroll 2
            for (int i = 0; i < kTile * kDepth / kThreads; i++) {
                int element = threadIdx.x + i * kThreads;
                copy_element(stage, operand, element / kDepth, element % kDepth, element % kDepth * kStride + element / kDepth);
            }
        } else if (operand.aligned()) {
#pragma unroll
            for (int i = 0; i < kTile * kDepth / 4 / kThreads; i++) {
                int chunk = threadIdx.x + i * kThreads;
                int64_t row = operand.rows.row(chunk / (kTile / 4));
                int column = chunk % (kTile / 4) * 4;
                int count = operand.available(row, column, 4);
                const float *source = operand.data + (count > 0 ? row * operand.stride + column : 0);
                copy_async_16(stage + chunk / (kTile / 4) * kStride + column, source, count * 4);
            }
        } else {
#pragma unroll 2
            for (int i = 0; i < kTile * kDepth / kThreads; i++) {
                int element = threadIdx.x + i * kThreads;
                copy_element(stage, operand, element / kTile, element % kTile, element / kTile * kStride + element % kTile);
            }
        }
    }

    template <class Rows>
    static __device__ __forceinline__ void copy_element(
        float *stage, const Operand<float, Rows> &operand, int i, int column, int target) {
        int64_t row = operand.rows.row(i);
        int count = operand.available(row, column, 1);
        copy_async_4(stage + target, operand.data + (count > 0 ? row * operand.stride + column : 0), count * 4);
    }

    static __device__ __forceinline__ void load_four(float *v, const float *stage) {
        Pack<float> pack = *reinterpret_cast<const Pack<float> *>(stage);
#pragma unroll
        for (int i = 0; i < 4; i++) v[i] = pack.element[i];
    }

    // Adds the product of one stage; threads whose rows all lie beyond `rows` have nothing to do.
    template <Layout a_layout, Layout b_layout>
    static __device__ __forceinline__ void multiply(const Stage &stage, bool scaled, int rows, Sums &sums) {
        if (thread_row() >= rows) return;
#pragma unroll 2
        for (int k = 0; k < kDepth; k++) {
            float a[8], b[8];
            load_four(a, stage.a + k * kStride + thread_row());
            load_four(a + 4, stage.a + k * kStride + thread_row() + 64);
            load_four(b, stage.b + k * kStride + thread_column());
            load_four(b + 4, stage.b + k * kStride + thread_column() + 64);
            float scale = scaled ? stage.scale[k] : 1.f;
#pragma unroll
            for (int i = 0; i < 8; i++) {
                float value = scaled ? a[i] * scale : a[i];
#pragma unroll
                for (int j = 0; j < 8; j++) sums.element[i][j] = fmaf(value, b[j], sums.element[i][j]);
            }
        }
    }
};

}  // namespace dropless
