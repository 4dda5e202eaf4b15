// The machine operations of Hopper that the fast kernels are written in, beyond those of device.cuh: barriers in shared memory, copies of
// boxes by the tensor memory accelerator, products of warpgroups, clusters. Compiled by nvcc they are PTX instructions of sm_90a;
// compiled for a CPU with DROPLESS_EMULATOR defined they come from src/test/cuda/hopper_emulator.h.
//
// Boxes lie in shared memory in rows of 128 bytes (64 elements), eight rows to a swizzle pattern of 1024 bytes: 16-byte chunk c of
// row r is at chunk c ^ (r % 8). Addresses of boxes are multiples of 1024.
#pragma once

#include "matrix.cuh"

namespace dropless {

constexpr int kSwizzleBytes = 128;        // of a row of a box
constexpr int kSwizzlePattern = 1024;     // bytes after which the permutation repeats
constexpr int kBoxColumns = 64;           // elements of a row of a box
constexpr int kWarpgroup = 128;           // threads that multiply together

// A phase of a barrier ends when its arrivals and its bytes are complete. Eight bytes of shared memory.
using Barrier = uint64_t;

// Describes a matrix, its bounds and a box of it, for the copy engine. Opaque; made by dropless_tensor_maps or cuTensorMapEncodeTiled.
struct alignas(128) TensorMap {
    uint64_t word[16];
};

// What a tensor map is made of: seven 64-bit words.
struct TensorMapFields {
    void *data;           // multiple of 16 bytes
    int64_t type;         // kBf16 or kF16
    int64_t columns, rows;
    int64_t row_bytes;    // multiple of 16
    int64_t box_columns;  // at most 64
    int64_t box_rows;     // at most 256
};

// Offset of a 16-byte chunk of a row of a box.
__device__ __forceinline__ int swizzled(int row, int chunk) { return row * kSwizzleBytes + ((chunk ^ (row % 8)) << 4); }

}  // namespace dropless

#ifdef DROPLESS_EMULATOR
#include "hopper_emulator.h"
#else

#include "warpgroup_products.cuh"

#define ALIGNED_SHARED_MEMORY(Type, name)                                         \
    extern __shared__ __align__(1024) unsigned char dropless_aligned_memory[]; \
    Type &name = *reinterpret_cast<Type *>(dropless_aligned_memory)

namespace dropless {

// ---- clusters

__device__ __forceinline__ unsigned cluster_rank() {
    unsigned r;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(r));
    return r;
}

__device__ __forceinline__ unsigned cluster_size() {
    unsigned n;
    asm volatile("mov.u32 %0, %%cluster_nctarank;" : "=r"(n));
    return n;
}

// All threads of all blocks of the cluster meet.
__device__ __forceinline__ void cluster_barrier() {
    asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory");
}

// ---- order between launches: nothing before the wait may touch what earlier launches write

__device__ __forceinline__ void wait_for_earlier_launches() { asm volatile("griddepcontrol.wait;" ::: "memory"); }
__device__ __forceinline__ void let_later_launches_start() { asm volatile("griddepcontrol.launch_dependents;" ::: "memory"); }

// ---- barriers

__device__ __forceinline__ void barrier_init(Barrier *barrier, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
}

// Makes initialised barriers visible to the cluster and to the copy engine; then the threads must still meet.
__device__ __forceinline__ void fence_barrier_init() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

__device__ __forceinline__ void barrier_arrive(Barrier *barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}

// Arrives at the barrier at the same place in another block of the cluster. What it reports are reads that are complete, so it is not made to order
// writes for the whole cluster: that would be a memory barrier for each stage.
__device__ __forceinline__ void barrier_arrive(Barrier *barrier, unsigned rank) {
    asm volatile(
        "{\n.reg .b32 remote;\nmapa.shared::cluster.u32 remote, %0, %1;\n"
        "mbarrier.arrive.shared::cluster.b64 _, [remote];\n}" ::"r"(shared_address(barrier)),
        "r"(rank)
        : "memory");
}

// Arrives and adds bytes that copies will complete in this phase.
__device__ __forceinline__ void barrier_arrive_expecting(Barrier *barrier, unsigned bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes) : "memory");
}

// Waits until the phase of this parity has ended: then copies that it counts, and writes of this block's threads before their arrivals, are
// visible. (Asking for those of the whole cluster would invalidate the first-level cache at every wait.)
__device__ __forceinline__ void barrier_wait(Barrier *barrier, unsigned parity) {
    asm volatile(
        "{\n.reg .pred done;\nagain_%=:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n@!done bra again_%=;\n}" ::"r"(
            shared_address(barrier)),
        "r"(parity)
        : "memory");
}

// Threads of a part of the block meet; `id` 1..15.
__device__ __forceinline__ void part_barrier(int id, int threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// ---- copies of boxes

// Orders this thread's writes to shared memory before accesses by the copy engine and by products that are started after a later barrier.
__device__ __forceinline__ void fence_async_proxy() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// Before a thread's first use of a tensor map that another kernel or the host wrote to global memory.
__device__ __forceinline__ void acquire_tensor_map(const TensorMap *map) {
    asm volatile("fence.proxy.tensormap::generic.acquire.gpu [%0], 128;" ::"l"(map) : "memory");
}

// Starts the copy of the box at (column, row) to shared memory; its bytes, clipped or not, are completed at the barrier. What lies
// outside of the matrix becomes zero.
__device__ __forceinline__ void load_box(void *box, const TensorMap *map, Barrier *barrier, int column, int row) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(
            shared_address(box)),
        "l"(map), "r"(shared_address(barrier)), "r"(column), "r"(row)
        : "memory");
}

// The same, to the same place in every block of the cluster whose bit is set, each with its own barrier.
__device__ __forceinline__ void load_box(
    void *box, const TensorMap *map, Barrier *barrier, int column, int row, uint16_t blocks) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster "
        "[%0], [%1, {%3, %4}], [%2], %5;" ::"r"(shared_address(box)),
        "l"(map), "r"(shared_address(barrier)), "r"(column), "r"(row), "h"(blocks)
        : "memory");
}

// Starts the copy of a box to (column, row) of the matrix; what lies outside of it is not written.
__device__ __forceinline__ void store_box(const TensorMap *map, const void *box, int column, int row) {
    asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%2, %3}], [%1];" ::"l"(map),
                 "r"(shared_address(box)), "r"(column), "r"(row)
                 : "memory");
}

// Closes this thread's group of stores.
__device__ __forceinline__ void store_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }

// Waits until all but this thread's `pending` youngest groups have read their boxes.
template <int pending> __device__ __forceinline__ void store_wait_read() {
    asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(pending) : "memory");
}

// ---- writes to shared memory that the copy engine reads

// Stores four 8x8 matrices of 16-bit elements: lane l gives the address of row l % 8 of matrix l / 8, and of every matrix the elements
// (l / 4, 2 * (l % 4)) and the one after it.
__device__ __forceinline__ void store_matrices(void *row, unsigned d0, unsigned d1, unsigned d2, unsigned d3) {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(row)), "r"(d0), "r"(d1),
                 "r"(d2), "r"(d3)
                 : "memory");
}

// Writes 16 zero bytes.
__device__ __forceinline__ void store_zero_16(void *chunk) {
    asm volatile("st.shared.v4.u32 [%0], {%1, %1, %1, %1};" ::"r"(shared_address(chunk)), "r"(0) : "memory");
}

// Writes 16 bytes.
template <class T> __device__ __forceinline__ void store_chunk(void *chunk, const Pack<T> &pack) {
    *static_cast<Pack<T> *>(chunk) = pack;
}

// ---- products of warpgroups; see WarpgroupProduct in warpgroup_products.cuh

// Before the first product of a sequence, and whenever sums were touched since the last.
__device__ __forceinline__ void products_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

// Closes this warpgroup's group of products.
__device__ __forceinline__ void products_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Waits until all but the `pending` youngest groups are complete.
template <int pending> __device__ __forceinline__ void products_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
}

// Registers of each thread of this warpgroup from now on.
template <int registers> __device__ __forceinline__ void give_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(registers));
}
template <int registers> __device__ __forceinline__ void take_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(registers));
}

// ---- tensor maps

#define TENSOR_MAP_FIELD(field, bits, constraint, value)                                                                      \
    asm volatile("tensormap.replace.tile." field ".shared::cta.b1024." bits " [%0], %1;" ::"r"(address), constraint(value) \
                 : "memory")
#define TENSOR_MAP_FIELD_AT(field, index, bits, constraint, value)                                                           \
    asm volatile("tensormap.replace.tile." field ".shared::cta.b1024." bits " [%0], " index ", %1;" ::"r"(address), \
                 constraint(value)                                                                                           \
                 : "memory")

// Writes a tensor map to 128 zero bytes of shared memory; one thread.
__device__ __forceinline__ void write_tensor_map(TensorMap *shared, const TensorMapFields &fields) {
    unsigned address = shared_address(shared);
    TENSOR_MAP_FIELD("global_address", "b64", "l", fields.data);
    TENSOR_MAP_FIELD("rank", "b32", "r", 1);  // less one
    TENSOR_MAP_FIELD_AT("box_dim", "0", "b32", "r", static_cast<int>(fields.box_columns));
    TENSOR_MAP_FIELD_AT("box_dim", "1", "b32", "r", static_cast<int>(fields.box_rows));
    TENSOR_MAP_FIELD_AT("global_dim", "0", "b32", "r", static_cast<int>(fields.columns));
    TENSOR_MAP_FIELD_AT("global_dim", "1", "b32", "r", static_cast<int>(fields.rows));
    TENSOR_MAP_FIELD_AT("global_stride", "0", "b64", "l", fields.row_bytes);
    TENSOR_MAP_FIELD_AT("element_stride", "0", "b32", "r", 1);
    TENSOR_MAP_FIELD_AT("element_stride", "1", "b32", "r", 1);
    if (fields.type == kBf16) {
        TENSOR_MAP_FIELD("elemtype", "b32", "n", 10);
    } else {
        TENSOR_MAP_FIELD("elemtype", "b32", "n", 6);
    }
    TENSOR_MAP_FIELD("interleave_layout", "b32", "n", 0);
    TENSOR_MAP_FIELD("swizzle_mode", "b32", "n", 3);  // 128 bytes
    TENSOR_MAP_FIELD("fill_mode", "b32", "n", 0);     // zeros
}

#undef TENSOR_MAP_FIELD
#undef TENSOR_MAP_FIELD_AT

// Copies a map to global memory, where later launches find it; a whole warp.
__device__ __forceinline__ void publish_tensor_map(TensorMap *map, const TensorMap *shared) {
    asm volatile("tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.gpu.sync.aligned [%0], [%1], 128;" ::"l"(map),
                 "r"(shared_address(shared))
                 : "memory");
}

// Two elements as the products' fragments hold them.
template <class T> __device__ __forceinline__ unsigned pack_pair(float low, float high);
template <> __device__ __forceinline__ unsigned pack_pair<bf16>(float low, float high) {
    __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<unsigned *>(&pair);
}
template <> __device__ __forceinline__ unsigned pack_pair<f16>(float low, float high) {
    __half2 pair = __floats2half2_rn(low, high);
    return *reinterpret_cast<unsigned *>(&pair);
}

}  // namespace dropless
#endif
