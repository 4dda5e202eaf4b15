// A topology on the device, and the tiles that the experts' rows are cut into.
#pragma once

#include "tile_product.cuh"

namespace dropless {

// Argument of the kernels: eleven 64-bit words. Arrays are int32, written by the kernels of topology.cu or copied from the host.
struct Plan {
    const int *offsets;       // [E + 1] first row of each expert; the last is the number of rows N
    const int *slot_of_row;   // [N] token * k + rank
    const int *token_of_row;  // [N]
    const int *row_of_slot;   // [T * k] or -1
    const int *tile_count;    // [1]
    const int *tile_expert;   // [tiles], as TilePlan.of(topology, 128) in Java
    const int *tile_row;      // [tiles] first row
    const int *tile_rows;     // [tiles] 1..128
    int64_t num_experts, top_k, tokens;
};

// A tile of a product whose rows are the rows of one expert.
struct ExpertTile {
    int expert;
    int first_row;
    int rows;
    int64_t column_tile;
};

__device__ __forceinline__ ExpertTile expert_tile(const Plan &plan, int64_t n, int64_t column_tiles) {
    TileOrder order(n, *plan.tile_count, column_tiles);
    return {plan.tile_expert[order.row], plan.tile_row[order.row], plan.tile_rows[order.row], order.column};
}

// The expert that owns a row, by binary search.
__device__ __forceinline__ int expert_of_row(const Plan &plan, int row) {
    int low = 0, high = static_cast<int>(plan.num_experts) - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (plan.offsets[middle + 1] > row) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

}  // namespace dropless
