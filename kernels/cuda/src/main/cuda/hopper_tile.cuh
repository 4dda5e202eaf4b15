// The main loop of all Hopper products: persistent blocks of one warpgroup that copies and two that multiply, tiles of 128 x kColumns, stages of
// 64 of the summed dimension, four or more of them in flight.
//
// A job says what is computed; a schedule (hopper_schedule.cuh), which tile comes next. Of a job the loop wants
//
//   tiles(), tile(n, rank)             number of tiles of clusters, the n-th one as this block sees it; tile.rows of its rows count
//   steps(tile)                        stages of the summed dimension
//   acquire_maps()                     calls acquire_tensor_map for each map that load and write use
//   load(tile, step, stage)            one thread: arrives at stage.full, expecting the bytes of the boxes whose copies it starts
//   Gather, where kGathers             made from (job, tile) by each of 128 threads; load(step, stage) starts their cp.async copies
//   prepare(tile, step, stage)         where kPrepares: what the multiplying threads do to a stage before its products
//   write(tile, sums, staging)         a warpgroup's sums: 64 rows, laid out as WarpgroupProduct says
//   next_part(tile)                    optional: turns the tile into its next part, which is summed and written by itself; false if none is left
//
// Copies meet products at barriers: `full` of a stage ends a phase when its bytes and arrivals are complete, `empty` when the eight multiplying
// warps of all blocks of the cluster have read it. Products of one stage run while those of the stage before are waited for. Every tile is
// summed by one block in one order: results do not depend on the grid, the cluster, or the order of tiles.
//
// Launch: kHopperThreads threads, sizeof(HopperShared<Engine>) bytes of dynamic shared memory, any grid of 1 or more clusters of 1 or 2 blocks; no
// more blocks than multiprocessors are useful.
#pragma once

#include "hopper_schedule.cuh"

namespace dropless {

constexpr int kHopperThreads = 384;
constexpr int kMultiplyingWarps = 8;
constexpr int kWarpgroupRows = 64;   // of a tile, for each of the two multiplying warpgroups
constexpr int kStagingBuffers = 2;   // boxes of 64 x 64 results, for each of them
constexpr int kGatherDelay = 2;      // stages that a gathered one is behind the youngest when it is reported complete

// `row_boxes`: with two, a tile has twice 128 rows, and each warpgroup 64 of both; such tiles do without staging memory.
template <class T, Layout a, Layout b, int columns = 256, int stages = 4, int row_boxes = 1> struct HopperEngine {
    using Element = T;
    static constexpr Layout kLayoutA = a, kLayoutB = b;
    static constexpr int kColumns = columns;
    static constexpr int kStages = stages;
    static constexpr int kDepth = kBoxColumns;
    static constexpr int kRowBoxes = row_boxes;
    static constexpr int kBytesA = row_boxes * kTile * kDepth * 2;
    static constexpr int kBytesB = kColumns * kDepth * 2;
    static constexpr int kSums = row_boxes * kColumns / 2;  // of a thread
    // Registers of a thread that copies and of one that multiplies: 504 for the three warpgroups.
    static constexpr int kBoxRegisters = 40, kBoxProductRegisters = 232;
    static constexpr int kGatherRegisters = 56, kGatherProductRegisters = 224;
    static constexpr bool kTurns = false;  // whether the multiplying warpgroups have tiles of their own: hopper_turns.cuh
};

// Memory of a stage, where the summed dimension is contiguous: boxes of 64 elements by rows of the tile. Else boxes of 64 of the tile's
// columns (or rows) by 64 of the summed dimension, kBoxBytes apart.
constexpr int kBoxBytes = kBoxColumns * kSwizzleBytes;

struct Stage {
    unsigned char *a, *b;
    Barrier *full;
};

// Of the two multiplying warpgroups.
template <bool present> struct StagingMemory {
    alignas(kSwizzlePattern) unsigned char box[2][kStagingBuffers][kBoxBytes];
    float row[2][kBoxColumns];
};
template <> struct StagingMemory<false> {};

template <class Engine> struct alignas(kSwizzlePattern) HopperShared {
    unsigned char a[Engine::kStages][Engine::kBytesA];
    unsigned char b[Engine::kStages][Engine::kBytesB];
    StagingMemory<Engine::kRowBoxes == 1> staging;
    Barrier full[Engine::kStages], empty[Engine::kStages];
    Barrier turn[2];  // of the multiplying warpgroups, where they take turns

    __device__ HopperShared() {}
    __device__ __forceinline__ Stage stage(int i) { return {a[i], b[i], &full[i]}; }
};

// Where in the ring of stages a thread is, and the parity of the phase it waits for.
template <int stages> struct Ring {
    int stage = 0;
    unsigned parity;

    __device__ explicit Ring(unsigned p) : parity(p) {}
    __device__ __forceinline__ void next() {
        if (++stage == stages) {
            stage = 0;
            parity ^= 1;
        }
    }
    __device__ __forceinline__ void skip(int count) {
        stage += count;
        parity ^= stage / stages & 1;
        stage %= stages;
    }
};

// What a product reads: 64-bit descriptor of a place in shared memory. Depth-major, the pattern of eight rows repeats every 1024 bytes;
// wide-major, every 1024 bytes along the summed dimension, and boxes of 64 follow each other at kBoxBytes.
template <Layout layout> __device__ __forceinline__ uint64_t operand_descriptor(const void *p) {
    uint64_t leading = layout == Layout::kDepthMajor ? 1 : kBoxBytes >> 4;
    return (shared_address(p) & 0x3ffff) >> 4 | leading << 16 | uint64_t{kSwizzlePattern >> 4} << 32 | uint64_t{1} << 62;
}

// What to add to a descriptor for the next 16 of the summed dimension.
template <Layout layout> __device__ constexpr uint64_t descriptor_step() {
    return layout == Layout::kDepthMajor ? 32 >> 4 : 16 * kSwizzleBytes >> 4;
}

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

template <class Engine> __device__ __forceinline__ Staging staging_of(HopperShared<Engine> &shared, int warpgroup) {
    if constexpr (Engine::kRowBoxes == 1) {
        return {shared.staging.box[warpgroup], shared.staging.row[warpgroup], warpgroup, 0};
    } else {
        return {nullptr, nullptr, warpgroup, 0};
    }
}

template <class Engine, class Job> __device__ __forceinline__ void copy_boxes(const Job &job, HopperShared<Engine> &shared) {
    Ring<Engine::kStages> ring(1);
    unsigned rank = cluster_rank();
    int64_t tiles = job.tiles();
    for (int64_t n = blockIdx.x / cluster_size(); n < tiles; n += gridDim.x / cluster_size()) {
        auto tile = job.tile(n, rank);
        do {
            int steps = job.steps(tile);
            for (int step = 0; step < steps; step++) {
                if (!planted(Fault::kNoEmptyWait)) barrier_wait(&shared.empty[ring.stage], ring.parity);
                job.load(tile, step, shared.stage(ring.stage));
                ring.next();
            }
        } while (next_part(job, tile, 0));
    }
    let_later_launches_start();
}

// Copies of gathered rows are made by all threads of the warpgroup. Products read through another proxy than cp.async writes: so each thread
// waits for its own copies of a stage, fences, and arrives; some stages later, not to stand still.
template <class Engine> struct GatheredStages {
    HopperShared<Engine> &shared;
    int first = 0, open = 0;  // the oldest stage that is not reported yet, and how many there are

    template <int pending> __device__ __forceinline__ void report() {
        if (!planted(Fault::kNoCopyWait)) copy_async_wait<pending>();
        if (!planted(Fault::kNoProxyFence)) fence_async_proxy();
        barrier_arrive(&shared.full[first]);
        first = first + 1 == Engine::kStages ? 0 : first + 1;
        open--;
    }
    __device__ __forceinline__ void add() {
        copy_async_commit();
        if (++open > kGatherDelay) report<kGatherDelay>();
    }
    __device__ __forceinline__ void finish() {
        while (open > 0) report<0>();
    }
};

template <class Engine, class Job> __device__ __forceinline__ void copy_gathered(const Job &job, HopperShared<Engine> &shared) {
    Ring<Engine::kStages> ring(1);
    GatheredStages<Engine> gathered{shared};
    unsigned rank = cluster_rank();
    int64_t tiles = job.tiles();
    for (int64_t n = blockIdx.x / cluster_size(); n < tiles; n += gridDim.x / cluster_size()) {
        auto tile = job.tile(n, rank);
        do {
            int steps = job.steps(tile);
            typename Job::Gather gather(job, tile);
            for (int step = 0; step < steps; step++) {
                if (!planted(Fault::kNoEmptyWait)) barrier_wait(&shared.empty[ring.stage], ring.parity);
                Stage stage = shared.stage(ring.stage);
                if (threadIdx.x == 0) job.load(tile, step, stage);
                gather.load(step, stage);
                gathered.add();
                ring.next();
            }
        } while (next_part(job, tile, 0));
    }
    gathered.finish();
    let_later_launches_start();
}

// One lane of each warp tells all blocks of the cluster that it has read a stage.
template <class Engine> __device__ __forceinline__ void give_back(HopperShared<Engine> &shared, int stage) {
    unsigned lane = threadIdx.x % 32;
    if (lane < cluster_size()) barrier_arrive(&shared.empty[stage], lane);
}

// The products of one stage with the 64 rows of a warpgroup.
template <class Engine>
__device__ __forceinline__ void start_products(const Stage &stage, int warpgroup, bool accumulate, float (&sums)[Engine::kSums]) {
    constexpr Layout a_layout = Engine::kLayoutA, b_layout = Engine::kLayoutB;
    constexpr int width = Engine::kColumns;
    uint64_t b = operand_descriptor<b_layout>(stage.b);
    products_begin();
#pragma unroll
    for (int box = 0; box < Engine::kRowBoxes; box++) {
        // Depth-major: 64 rows of 128 bytes further; wide-major: the next box of 64.
        uint64_t a = operand_descriptor<a_layout>(stage.a + (box * 2 + warpgroup) * kBoxBytes);
        auto &part = reinterpret_cast<float(&)[width / 2]>(sums[box * (width / 2)]);
#pragma unroll
        for (int i = 0; i < Engine::kDepth / 16; i++) {
            WarpgroupProduct<typename Engine::Element, width>::template start<a_layout == Layout::kWideMajor, b_layout == Layout::kWideMajor>(
                part, a + i * descriptor_step<a_layout>(), b + i * descriptor_step<b_layout>(), accumulate || i > 0);
        }
    }
    products_commit();
}

// Whether a tile goes on: some jobs compute one in parts, each summed and written by itself.
template <class Job, class Tile> __device__ __forceinline__ auto next_part(const Job &job, Tile &tile, int) -> decltype(job.next_part(tile)) {
    return job.next_part(tile);
}
template <class Job, class Tile> __device__ __forceinline__ bool next_part(const Job &, Tile &, long) { return false; }

template <class Engine, class Job, class Tile>
__device__ __forceinline__ void sum_tile(
    const Job &job, const Tile &tile, int steps, HopperShared<Engine> &shared, int warpgroup, Ring<Engine::kStages> &ring,
    float (&sums)[Engine::kSums]) {
    int previous = 0;
#pragma unroll 1
    for (int step = 0; step < steps; step++) {
        Stage stage = shared.stage(ring.stage);
        if (!planted(Fault::kNoFullWait)) barrier_wait(stage.full, ring.parity);
        if constexpr (Job::kPrepares) job.prepare(tile, step, stage);
        start_products<Engine>(stage, warpgroup, step > 0, sums);
        if (!planted(Fault::kNoProductWait)) products_wait<1>();
        if (step > 0) give_back(shared, previous);
        previous = ring.stage;
        ring.next();
    }
    products_wait<0>();
    if (steps > 0) give_back(shared, previous);
}

// A tile has no rows for this warpgroup: it gives the stages back as they come.
template <class Engine, class Job, class Tile>
__device__ __forceinline__ void pass_stages(
    const Job &job, const Tile &tile, int steps, HopperShared<Engine> &shared, Ring<Engine::kStages> &ring) {
    for (int step = 0; step < steps; step++) {
        barrier_wait(&shared.full[ring.stage], ring.parity);
        if constexpr (Job::kPrepares) job.prepare(tile, step, shared.stage(ring.stage));
        give_back(shared, ring.stage);
        ring.next();
    }
}

template <class Engine, class Job>
__device__ __forceinline__ void multiply(const Job &job, HopperShared<Engine> &shared, int warpgroup) {
    Ring<Engine::kStages> ring(0);
    Staging staging = staging_of(shared, warpgroup);
    unsigned rank = cluster_rank();
    int64_t tiles = job.tiles();
    for (int64_t n = blockIdx.x / cluster_size(); n < tiles; n += gridDim.x / cluster_size()) {
        auto tile = job.tile(n, rank);
        do {
            int steps = job.steps(tile);
            if (tile.rows > warpgroup * kWarpgroupRows) {
                float sums[Engine::kSums];
                if (steps == 0) {
#pragma unroll
                    for (int i = 0; i < Engine::kSums; i++) sums[i] = 0.f;
                }
                sum_tile(job, tile, steps, shared, warpgroup, ring, sums);
                job.write(tile, sums, staging);
            } else {
                pass_stages<Engine>(job, tile, steps, shared, ring);
            }
        } while (next_part(job, tile, 0));
    }
    if (staging.lane() == 0) store_wait_read<0>();
}

// In hopper_turns.cuh.
template <class Engine, class Job>
__device__ __forceinline__ void multiply_in_turns(const Job &job, HopperShared<Engine> &shared, int warpgroup);

template <class Engine, class Job> __device__ __forceinline__ void run_hopper(const Job &job) {
    ALIGNED_SHARED_MEMORY(HopperShared<Engine>, shared);
    if (threadIdx.x == 0) {
        int readers = kMultiplyingWarps / (Engine::kTurns ? 2 : 1) * static_cast<int>(cluster_size());
        for (int i = 0; i < Engine::kStages; i++) {
            barrier_init(&shared.full[i], (Job::kGathers ? kWarpgroup + 1 : 1) + (planted(Fault::kWrongArrivals) ? 1 : 0));
            barrier_init(&shared.empty[i], readers);
        }
        if (Engine::kTurns) {
            for (int i = 0; i < 2; i++) barrier_init(&shared.turn[i], kMultiplyingWarps / 2);
        }
        fence_barrier_init();
    }
    cluster_barrier();
    wait_for_earlier_launches();
    if (threadIdx.x % kWarpgroup == 0) job.acquire_maps();
    int warpgroup = __shfl_sync(kAllLanes, static_cast<int>(threadIdx.x) / kWarpgroup, 0);
    if (warpgroup == 0) {
        give_registers<Job::kGathers ? Engine::kGatherRegisters : Engine::kBoxRegisters>();
        if constexpr (Job::kGathers) {
            copy_gathered<Engine>(job, shared);
        } else if (threadIdx.x == 0) {
            copy_boxes<Engine>(job, shared);
        }
        __syncwarp();
    } else {
        take_registers<Job::kGathers ? Engine::kGatherProductRegisters : Engine::kBoxProductRegisters>();
        if constexpr (Engine::kTurns) {
            multiply_in_turns<Engine>(job, shared, warpgroup - 1);
        } else {
            multiply<Engine>(job, shared, warpgroup - 1);
        }
        __syncwarp();
    }
    cluster_barrier();  // a block stays while its partner may copy to it or arrive at its barriers
}

// Arrives at a stage whose boxes have so many bytes.
__device__ __forceinline__ void expect(const Stage &stage, unsigned bytes) {
    barrier_arrive_expecting(stage.full, planted(Fault::kWrongBytes) ? bytes / 2 : bytes);
}

// Starts the copies of a stage of A: rows from `row` on, `depth` first of the summed dimension. The map's box is 64 x 128 where the
// summed dimension is contiguous, else 64 x 64.
template <class Engine>
__device__ __forceinline__ void load_a(const Stage &stage, const TensorMap *map, int row, int depth) {
    if constexpr (Engine::kLayoutA == Layout::kDepthMajor) {
        load_box(stage.a, map, stage.full, depth, row);
    } else {
#pragma unroll
        for (int i = 0; i < kTile / kBoxColumns; i++) {
            load_box(stage.a + i * kBoxBytes, map, stage.full, row + i * kBoxColumns, depth);
        }
    }
}

// Calls start(i, shared, blocks) for the boxes of B that this block is to copy, each to the blocks whose bit is set: all boxes for itself,
// or, where both blocks of the cluster need the same, half of them for both.
template <class Engine, int boxes, class Start>
__device__ __forceinline__ void for_own_boxes(const Stage &stage, bool shares, Start start) {
    int rank = static_cast<int>(cluster_rank());
#pragma unroll
    for (int i = 0; i < boxes; i++) {
        if (shares && i / (boxes / 2) != rank) continue;
        start(i, stage.b + i * (Engine::kBytesB / boxes), static_cast<uint16_t>(shares && !planted(Fault::kNoSharing) ? 3 : 1 << rank));
    }
}

// Starts the copies of a stage of B. The map's box is 64 x kColumns / 2 where the summed dimension is contiguous, else 64 x 64. place(i)
// is the first row of box i of the matrix, in the former case.
template <class Engine, class Place>
__device__ __forceinline__ void load_b_rows(const Stage &stage, const TensorMap *map, bool shares, int depth, Place place) {
    for_own_boxes<Engine, 2>(stage, shares, [&](int i, unsigned char *box, uint16_t blocks) {
        load_box(box, map, stage.full, depth, place(i), blocks);
    });
}

template <class Engine>
__device__ __forceinline__ void load_b(const Stage &stage, const TensorMap *map, bool shares, int column, int depth) {
    if constexpr (Engine::kLayoutB == Layout::kDepthMajor) {
        load_b_rows<Engine>(stage, map, shares, depth, [&](int i) { return column + i * (Engine::kColumns / 2); });
    } else {
        for_own_boxes<Engine, Engine::kColumns / kBoxColumns>(stage, shares, [&](int i, unsigned char *box, uint16_t blocks) {
            load_box(box, map, stage.full, column + i * kBoxColumns, depth, blocks);
        });
    }
}

}  // namespace dropless
