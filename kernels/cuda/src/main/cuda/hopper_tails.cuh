// Ends of the summed dimension inside a stage. Rows of the next expert or block may hold anything, and zero times NaN is NaN: so what lies
// beyond the end is set to zero, in both operands, by the threads that multiply.
#pragma once

#include "hopper_tile.cuh"

namespace dropless {

constexpr int kMultiplyingBarrier = 3;  // of both multiplying warpgroups; Staging has 1 and 2

// Sets what lies from `left` on of the 64 of the summed dimension to zero, in an operand of `wide` rows or columns.
template <class T, Layout layout>
__device__ __forceinline__ void clear_from(unsigned char *operand, int wide, int left, int thread, int threads) {
    if constexpr (layout == Layout::kWideMajor) {
        int chunks = wide / 8;
#pragma unroll 1
        for (int i = thread; i < (kBoxColumns - left) * chunks; i += threads) {
            int row = left + i / chunks, chunk = i % chunks;
            store_zero_16(operand + chunk / 8 * kBoxBytes + swizzled(row, chunk % 8));
        }
    } else {
        int first = left / 8, chunks = kBoxColumns / 8 - first;
#pragma unroll 1
        for (int i = thread; i < wide * chunks; i += threads) {
            int row = i / chunks, chunk = first + i % chunks;
            unsigned char *at = operand + swizzled(row, chunk);
            Pack<T> pack = *reinterpret_cast<const Pack<T> *>(at);
#pragma unroll
            for (int j = 0; j < 8; j++) {
                if (chunk * 8 + j >= left) pack.element[j] = from_float<T>(0.f);
            }
            store_chunk(at, pack);
        }
    }
}

// Clears both operands of a stage, or only B where A ends in zeros already. All threads that multiply the stage.
template <class Engine, bool with_a> __device__ __forceinline__ void clear_tails(const Stage &stage, int left) {
    if (left >= kBoxColumns) return;
    using T = typename Engine::Element;
    constexpr int threads = Engine::kTurns ? kWarpgroup : 2 * kWarpgroup;
    int thread = static_cast<int>(threadIdx.x) - kWarpgroup, warpgroup = thread / kWarpgroup;
    if (with_a && !planted(Fault::kNoTailA)) clear_from<T, Engine::kLayoutA>(stage.a, kTile, left, thread % threads, threads);
    if (!planted(Fault::kNoTailB)) clear_from<T, Engine::kLayoutB>(stage.b, Engine::kColumns, left, thread % threads, threads);
    if (!planted(Fault::kNoProxyFence)) fence_async_proxy();
    if (!planted(Fault::kNoStageBarrier)) part_barrier(Engine::kTurns ? 1 + warpgroup : kMultiplyingBarrier, threads);
}

}  // namespace dropless
