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

// The tiles of a plan times the tiles of the result's columns.
struct ExpertTiles {
    const Plan &plan;
    int64_t column_tiles;

    __device__ int64_t tiles() const { return *plan.tile_count * column_tiles; }
    __device__ ExpertTile tile(int64_t n) const {
        TileOrder order(n, *plan.tile_count, column_tiles);
        return {plan.tile_expert[order.row], plan.tile_row[order.row], plan.tile_rows[order.row], order.column};
    }
};

}  // namespace dropless
