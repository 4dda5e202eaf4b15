// The topology of the router's assignments: counts, offsets, stable placement, tiles, index arrays of the block pattern. Integers
// equal those of dev.dropless.topology (Topology, TilePlan, MoeBlockPattern) bit for bit.
//
// Nothing is synchronised with the host and no atomic touches global memory: slots are cut into chunks of 1024, each counted and
// placed by one warp in slot order; an exclusive sum over (expert, chunk) gives every chunk its first row in every expert.
//
//   topology_count  loads of every chunk                     -> chunk_rows [chunks, E], bad_slot [chunks]
//   topology_scan   offsets [E + 1]; first rows of chunks    -> chunk_rows [chunks, E] in place; status[0] first bad slot or -1
//   topology_place  slot_of_row, token_of_row, row_of_slot
//   tile_plan       TilePlan.of(topology, max_rows): full tiles by (expert, row), then remainders, highest first
//   pattern_scan    first block row and first matrix row of every expert; counts of the pattern
//   pattern_fill    every array of the pattern, ragged (exact) or padded, and those STK adds
//
// An expert id below -1 or from E on is a bad one: its slot is treated as unassigned (-1), so memory stays safe, and status reports it.
//
// Launch (grids of 1 or more blocks; any number works where "any" is said):
//   topology_count, topology_place   32 threads, E * 4 bytes, grid ceil(T * k / 1024) exactly
//   topology_scan   1024 threads, ScanShared bytes, grid 1
//   tile_plan       1024 threads, ScanShared + E * 4 bytes, grid 1
//   pattern_scan    1024 threads, ScanShared bytes, grid 1
//   pattern_fill    256 threads, none, any grid
// All are to be launched for T = 0 too (a grid of 1 then), so that offsets and counts are written.
#include "matrix.cuh"

namespace dropless {

constexpr int kChunkSlots = 1024;
constexpr int kScanThreads = 1024;

struct TopologyArguments {
    const int *expert_ids;  // [T * k]: 0..E-1 or -1
    int64_t slots, num_experts, top_k;
    int *chunk_rows;        // [ceil(slots / 1024), E] scratch
    int *bad_slot;          // [ceil(slots / 1024)] scratch
    int *status;            // [1]
    int *offsets;           // [E + 1]
    int *slot_of_row;       // [slots], the first offsets[E] of them written
    int *token_of_row;      // [slots], as slot_of_row
    int *row_of_slot;       // [slots]
};

__device__ __forceinline__ int64_t chunks_of(const TopologyArguments &args) { return ceil_div(args.slots, kChunkSlots); }

// The id of a slot, -1 where it is beyond the end or bad.
__device__ __forceinline__ int expert_id(const TopologyArguments &args, int64_t slot, bool &bad) {
    int id = slot < args.slots ? args.expert_ids[slot] : -1;
    bad = id < -1 || id >= args.num_experts;
    return bad ? -1 : id;
}

// Lanes with the same id as this one; of them the lowest adds to the counter, the others find their rank.
__device__ __forceinline__ void topology_count(const TopologyArguments &args) {
    SHARED_MEMORY(int, first_count);
    int *counts = &first_count;
    int lane = threadIdx.x, experts = static_cast<int>(args.num_experts);
    if (blockIdx.x >= chunks_of(args)) return;
    for (int e = lane; e < experts; e += 32) counts[e] = 0;
    __syncwarp();
    int first_bad = -1;
    for (int i = 0; i < kChunkSlots; i += 32) {
        int64_t slot = blockIdx.x * int64_t{kChunkSlots} + i + lane;
        bool bad;
        int id = expert_id(args, slot, bad);
        unsigned bad_lanes = __ballot_sync(kAllLanes, bad);
        if (first_bad < 0 && bad_lanes != 0) first_bad = static_cast<int>(slot - lane) + __ffs(static_cast<int>(bad_lanes)) - 1;
        unsigned same = __match_any_sync(kAllLanes, id);
        if (id >= 0 && lane == __ffs(static_cast<int>(same)) - 1) counts[id] += __popc(same);
        __syncwarp();
    }
    for (int e = lane; e < experts; e += 32) args.chunk_rows[blockIdx.x * args.num_experts + e] = counts[e];
    if (lane == 0) args.bad_slot[blockIdx.x] = first_bad;
}

struct ScanShared {
    int64_t warp_total[kScanThreads / 32];
};

// Exclusive sums over the threads of a block, and their total.
__device__ __forceinline__ int64_t exclusive_sum(ScanShared &shared, int64_t value, int64_t &total) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int64_t sum = value;
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) {
        int64_t before = __shfl_up_sync(kAllLanes, sum, distance);
        if (lane >= distance) sum += before;
    }
    __syncthreads();  // the last call's totals have been read
    if (lane == 31) shared.warp_total[warp] = sum;
    __syncthreads();
    int64_t before = 0;
    total = 0;
    for (int w = 0; w < kScanThreads / 32; w++) {
        if (w == warp) before = total;
        total += shared.warp_total[w];
    }
    return before + sum - value;
}

__device__ __forceinline__ void topology_scan(const TopologyArguments &args) {
    SHARED_MEMORY(ScanShared, shared);
    int experts = static_cast<int>(args.num_experts), chunks = static_cast<int>(chunks_of(args));
    int row = 0;
    for (int first = 0; first < experts; first += kScanThreads) {
        int e = first + threadIdx.x;
        int load = 0;
        for (int c = 0; c < chunks && e < experts; c++) load += args.chunk_rows[c * args.num_experts + e];
        int64_t total;
        int next = row + static_cast<int>(exclusive_sum(shared, load, total));
        row += static_cast<int>(total);
        if (e >= experts) continue;
        args.offsets[e] = next;
        for (int c = 0; c < chunks; c++) {
            int *rows = &args.chunk_rows[c * args.num_experts + e];
            int count = *rows;
            *rows = next;
            next += count;
        }
    }
    if (threadIdx.x == 0) {
        args.offsets[experts] = row;
        int bad = -1;
        for (int c = 0; c < chunks && bad < 0; c++) bad = args.bad_slot[c];
        args.status[0] = bad;
    }
}

__device__ __forceinline__ void topology_place(const TopologyArguments &args) {
    SHARED_MEMORY(int, first_row);
    int *next = &first_row;
    int lane = threadIdx.x, experts = static_cast<int>(args.num_experts), top_k = static_cast<int>(args.top_k);
    if (blockIdx.x >= chunks_of(args)) return;
    for (int e = lane; e < experts; e += 32) next[e] = args.chunk_rows[blockIdx.x * args.num_experts + e];
    __syncwarp();
    for (int i = 0; i < kChunkSlots; i += 32) {
        int64_t slot = blockIdx.x * int64_t{kChunkSlots} + i + lane;
        bool bad;
        int id = expert_id(args, slot, bad);
        unsigned same = __match_any_sync(kAllLanes, id);
        unsigned earlier = planted(Fault::kUnstablePlace) ? ~((2u << lane) - 1) : (1u << lane) - 1;
        int row = id < 0 ? -1 : next[id] + __popc(same & earlier);
        __syncwarp();
        if (id >= 0 && lane == __ffs(static_cast<int>(same)) - 1) next[id] += __popc(same);
        __syncwarp();
        if (slot < args.slots) args.row_of_slot[slot] = row;
        if (row >= 0) {
            args.slot_of_row[row] = static_cast<int>(slot);
            args.token_of_row[row] = static_cast<int>(slot) / top_k;
        }
    }
}

struct TilePlanArguments {
    const int *offsets;  // [E + 1]
    int64_t num_experts, max_rows;
    int *tile_count;     // [1]
    int *tile_expert;    // [rows / max_rows + E]
    int *tile_row;       // as tile_expert
    int *tile_rows;      // as tile_expert
};

struct TilePlanShared {
    ScanShared scan;
    int remainder[1];  // [E], behind the structure
};

// Full tiles all have the same height and keep the order (expert, row); a remainder follows those that are higher, and those as high
// of earlier experts.
__device__ __forceinline__ void tile_plan(const TilePlanArguments &args) {
    SHARED_MEMORY(TilePlanShared, shared);
    int *remainder = shared.remainder;
    int experts = static_cast<int>(args.num_experts), height = static_cast<int>(args.max_rows);
    int thread = threadIdx.x, full = 0, partial = 0;
    for (int first = 0; first < experts; first += kScanThreads) {
        int e = first + thread;
        int row = e < experts ? args.offsets[e] : 0;
        int load = e < experts ? args.offsets[e + 1] - row : 0;
        if (e < experts) remainder[e] = load % height;
        int64_t total;
        int tile = full + static_cast<int>(exclusive_sum(shared.scan, load / height, total));
        full += static_cast<int>(total);
        for (int i = 0; i < load / height; i++) {
            args.tile_expert[tile + i] = e;
            args.tile_row[tile + i] = row + i * height;
            args.tile_rows[tile + i] = height;
        }
    }
    __syncthreads();
    for (int e = 0; e < experts; e++) partial += remainder[e] > 0;
    for (int e = thread; e < experts; e += kScanThreads) {
        int rows = remainder[e];
        if (rows == 0) continue;
        int tile = full;
        for (int other = 0; other < experts; other++) {
            tile += remainder[other] > rows || (remainder[other] == rows && other < e);
        }
        args.tile_expert[tile] = e;
        args.tile_row[tile] = args.offsets[e + 1] - rows;
        args.tile_rows[tile] = rows;
    }
    if (thread == 0) *args.tile_count = full + partial;
}

struct PatternArguments {
    const int *offsets;         // [E + 1] of the topology
    int64_t num_experts, block_size, ffn_size, padded;
    int *first_block_row;       // [E + 1] scratch
    int64_t *first_row;         // [E + 1] scratch
    int *counts;                // [3] block rows, block columns, blocks
    int64_t *row_offset;        // as Pattern in block_sparse.cu
    int64_t *column_offset;
    int64_t *data_offset;
    int *first_block;
    int *row_of;
    int *column_of;
    int *first_transposed;
    int *transposed_block;
    int *row_of_transposed;     // [blocks] block row at each transposed position (STK: column_indices_t), or null
    int *column_of_transposed;  // [blocks] block column at each transposed position, or null
};

__device__ __forceinline__ void pattern_scan(const PatternArguments &args) {
    SHARED_MEMORY(ScanShared, shared);
    int experts = static_cast<int>(args.num_experts);
    int64_t stripes = 0, rows = 0;
    for (int first = 0; first < experts; first += kScanThreads) {
        int e = first + threadIdx.x;
        int64_t load = e < experts ? args.offsets[e + 1] - args.offsets[e] : 0;
        int64_t own_stripes = ceil_div(load, args.block_size), total_stripes, total_rows;
        int64_t stripe = stripes + exclusive_sum(shared, own_stripes, total_stripes);
        int64_t row = rows + exclusive_sum(shared, args.padded ? own_stripes * args.block_size : load, total_rows);
        stripes += total_stripes;
        rows += total_rows;
        if (e >= experts) continue;
        args.first_block_row[e] = static_cast<int>(stripe);
        args.first_row[e] = row;
    }
    if (threadIdx.x == 0) {
        int columns = static_cast<int>(ceil_div(args.ffn_size, args.block_size));
        args.first_block_row[experts] = static_cast<int>(stripes);
        args.first_row[experts] = rows;
        args.counts[0] = static_cast<int>(stripes);
        args.counts[1] = experts * columns;
        args.counts[2] = static_cast<int>(stripes) * columns;
    }
}

// The closed forms of MoeBlockPattern: q block columns per expert, every block row has q blocks.
struct MoePattern {
    const PatternArguments &args;
    int experts = static_cast<int>(args.num_experts);
    int q = static_cast<int>(ceil_div(args.ffn_size, args.block_size));

    __device__ int expert_of(int block_row) const { return segment_of(args.first_block_row, experts, block_row); }

    __device__ int64_t row_offset(int block_row, int expert) const {
        int64_t row = args.first_row[expert] + (block_row - args.first_block_row[expert]) * args.block_size;
        int64_t end = args.first_row[expert + 1];
        return row < end ? row : end;
    }

    __device__ int64_t column_in_expert(int j) const {
        int64_t column = j * args.block_size;
        return column < args.ffn_size ? column : args.ffn_size;
    }

    __device__ void fill_block(int block) const {
        int row = block / q, j = block % q, expert = expert_of(row);
        int64_t first = row_offset(row, expert), height = row_offset(row + 1, expert) - first;
        args.data_offset[block] = first * args.ffn_size + height * column_in_expert(j);
        args.row_of[block] = row;
        args.column_of[block] = expert * q + j;
        int stripes = args.first_block_row[expert + 1] - args.first_block_row[expert];
        int position = args.first_block_row[expert] * q + j * stripes + row - args.first_block_row[expert];
        args.transposed_block[position] = block;
        if (args.row_of_transposed != nullptr) args.row_of_transposed[position] = row;
        if (args.column_of_transposed != nullptr) args.column_of_transposed[position] = expert * q + j;
    }

    __device__ void fill_row(int row) const {
        args.row_offset[row] = row_offset(row, expert_of(row));
        args.first_block[row] = row * q;
    }

    __device__ void fill_column(int column) const {
        int expert = column / q, j = column % q;
        args.column_offset[column] = expert * args.ffn_size + column_in_expert(j);
        args.first_transposed[column] = expert == experts
            ? args.counts[2]
            : args.first_block_row[expert] * q + j * (args.first_block_row[expert + 1] - args.first_block_row[expert]);
    }
};

__device__ __forceinline__ void pattern_fill(const PatternArguments &args) {
    MoePattern pattern{args};
    int thread = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
    int rows = args.counts[0], columns = args.counts[1], blocks = args.counts[2];
    for (int row = thread; row <= rows; row += threads) pattern.fill_row(row);
    for (int column = thread; column <= columns; column += threads) pattern.fill_column(column);
    for (int block = thread; block < blocks; block += threads) pattern.fill_block(block);
    if (thread == 0) args.data_offset[blocks] = args.first_row[args.num_experts] * args.ffn_size;
}

}  // namespace dropless

extern "C" __global__ void __launch_bounds__(32) dropless_topology_count(const __grid_constant__ dropless::TopologyArguments args) {
    dropless::topology_count(args);
}
extern "C" __global__ void __launch_bounds__(1024) dropless_topology_scan(const __grid_constant__ dropless::TopologyArguments args) {
    dropless::topology_scan(args);
}
extern "C" __global__ void __launch_bounds__(32) dropless_topology_place(const __grid_constant__ dropless::TopologyArguments args) {
    dropless::topology_place(args);
}
extern "C" __global__ void __launch_bounds__(1024) dropless_tile_plan(const __grid_constant__ dropless::TilePlanArguments args) {
    dropless::tile_plan(args);
}
extern "C" __global__ void __launch_bounds__(1024) dropless_pattern_scan(const __grid_constant__ dropless::PatternArguments args) {
    dropless::pattern_scan(args);
}
extern "C" __global__ void __launch_bounds__(256) dropless_pattern_fill(const __grid_constant__ dropless::PatternArguments args) {
    dropless::pattern_fill(args);
}
