// The few machine operations that the kernels are written in: element types, shared memory, asynchronous copies, warp
// matrices. Compiled by nvcc they are PTX instructions of sm_80; compiled for a CPU with DROPLESS_EMULATOR defined they
// come from src/test/cuda/emulator.h, which runs the same kernels thread by thread.
#pragma once

#include <cstdint>

namespace dropless {

constexpr unsigned kAllLanes = ~0u;  // of a warp, in the masks of its operations

// What tests can break on purpose, to show that they would notice. Compiled for a GPU nothing is ever planted.
enum class Fault : int {
    kNone,
    kNoCopyWait,      // mainloop reads a stage before its copies are complete
    kWrongCopyCount,  // mainloop waits for one copy group fewer than it must
    kNoStageBarrier,  // mainloop reads a stage before the other threads' copies are visible
    kNoTileBarrier,   // next tile's copies start while the last tile's sums are still read from shared memory
    kTailOverwrite,   // rows beyond a tile's last are stored
    kNoRunMask,       // elements beyond an operand's last of a row are loaded
    kNoRowMask,       // rows beyond an operand's last are loaded
    kNoScale,         // weights of the summed rows are not applied
    kUnstablePlace,   // slots of one expert are placed in another order
    kNoFullWait,      // products read a stage before its copies are complete
    kNoEmptyWait,     // copies go to a stage that products may still read
    kWrongArrivals,   // a barrier counts one arrival more than comes
    kWrongBytes,      // a barrier expects fewer bytes than are copied
    kNoProxyFence,    // the copy engine or a product reads what was written without a fence
    kStaleStaging,    // results are staged where an earlier store may still read
    kNoProductWait,   // sums are used, and their operands given back, while the products run
    kNoSharing,       // a box meant for both blocks of a cluster is copied to one
    kNoTailA,         // what lies beyond the end of the summed dimension is not cleared in the first operand
    kNoTailB,         // nor in the second
    kNoPartial,       // one column tile's part of a row's sum over columns is left out
    kWrongTurn,       // a warpgroup does not pass over the stages of the other one's tile
    kNoTurn,          // nor wait until the other one has seen them
    kTiedOrder,       // experts with as many rows as another get its place in the order of tiles
};

}  // namespace dropless

#ifdef DROPLESS_EMULATOR
#include "emulator.h"
#else

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#define SHARED_MEMORY(Type, name)                                            \
    extern __shared__ __align__(128) unsigned char dropless_shared_memory[]; \
    Type &name = *reinterpret_cast<Type *>(dropless_shared_memory)

namespace dropless {

using bf16 = __nv_bfloat16;
using f16 = __half;

__device__ constexpr bool planted(Fault) { return false; }

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return __bfloat162float(x); }
__device__ __forceinline__ float to_float(f16 x) { return __half2float(x); }

// Rounds to nearest, ties to even.
template <class T> __device__ __forceinline__ T from_float(float x);
template <> __device__ __forceinline__ float from_float<float>(float x) { return x; }
template <> __device__ __forceinline__ bf16 from_float<bf16>(float x) { return __float2bfloat16_rn(x); }
template <> __device__ __forceinline__ f16 from_float<f16>(float x) { return __float2half_rn(x); }

__device__ __forceinline__ unsigned shared_address(const void *p) {
    return static_cast<unsigned>(__cvta_generic_to_shared(p));
}

// Copies `bytes` (0..16) from global to shared memory and fills up to 16 with zeros; both sides aligned to 16 bytes.
__device__ __forceinline__ void copy_async_16(void *shared, const void *global, int bytes) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(bytes)
                 : "memory");
}

// Copies 4 bytes, or writes 4 zero bytes where `bytes` is 0; both sides aligned to 4 bytes.
__device__ __forceinline__ void copy_async_4(void *shared, const void *global, int bytes) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(bytes)
                 : "memory");
}

// Closes this thread's group of copies.
__device__ __forceinline__ void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most `pending` of this thread's copy groups, the youngest, are incomplete.
template <int pending> __device__ __forceinline__ void copy_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

// Loads four 8x8 matrices of 16-bit elements: lane l gives the address of row l % 8 of matrix l / 8, and receives of every
// matrix the elements (l / 4, 2 * (l % 4)) and the one after it.
__device__ __forceinline__ void load_matrices(unsigned (&d)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// As load_matrices, each matrix transposed on the way.
__device__ __forceinline__ void load_matrices_transposed(unsigned (&d)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// d += a b for a 16x16 row-major, b 16x8 column-major, fp32 sums: PTX mma.m16n8k16.
template <class T> __device__ __forceinline__ void multiply_add(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1);

template <>
__device__ __forceinline__ void multiply_add<bf16>(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

template <>
__device__ __forceinline__ void multiply_add<f16>(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

}  // namespace dropless
#endif
