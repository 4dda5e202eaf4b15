// Which tile a cluster computes next. Tiles of 128 rows are taken in pairs by clusters of two blocks, one by one by blocks alone; the order is
// fixed by the plan and the launch, never by timing.
#pragma once

#include "hopper.cuh"
#include "plan.cuh"

namespace dropless {

// What a block knows of the tile it computes: part of an expert's rows, or of a dense matrix's.
struct RowTile {
    int expert;
    int first_row;
    int rows;             // 0: nothing to compute, the block only helps its partner
    int64_t column_tile;
    bool shares_columns;  // both blocks of the cluster need the same boxes of B, and each copies half of them for both
};

// Numbers of tiles fit into 32 bits, whose division is much cheaper.
using SmallTileOrder = TileOrderOf<int>;

// Clusters that so many tiles of rows are shared out to.
__device__ __forceinline__ int cluster_steps(int row_tiles) { return cluster_size() == 2 ? (row_tiles + 1) / 2 : row_tiles; }

// The tiles of a plan times the tiles of the result's columns. `group` tiles of rows, or pairs of them, are taken column by column, so that
// blocks that run together share operands in the L2 cache.
struct PlanSchedule {
    const Plan &plan;
    int64_t column_tiles;
    int group;

    __device__ __forceinline__ int row_steps() const { return cluster_steps(*plan.tile_count); }
    __device__ __forceinline__ int64_t tiles() const { return row_steps() * column_tiles; }

    __device__ __forceinline__ RowTile tile(int64_t n, unsigned rank) const {
        SmallTileOrder order(static_cast<int>(n), row_steps(), static_cast<int>(column_tiles), group);
        int count = *plan.tile_count, first = order.row * static_cast<int>(cluster_size()), own = first + static_cast<int>(rank);
        bool paired = cluster_size() == 2, partner = first + 1 < count;
        RowTile tile;
        tile.shares_columns = paired && (!partner || plan.tile_expert[first] == plan.tile_expert[first + 1]);
        tile.expert = plan.tile_expert[own < count ? own : first];
        tile.first_row = own < count ? plan.tile_row[own] : 0;
        tile.rows = own < count ? plan.tile_rows[own] : 0;
        tile.column_tile = order.column;
        return tile;
    }
};

// The tiles of one dense matrix.
struct DenseSchedule {
    int64_t rows, column_tiles;
    int group;

    __device__ __forceinline__ int row_steps() const { return cluster_steps(static_cast<int>(ceil_div(rows, kTile))); }
    __device__ __forceinline__ int64_t tiles() const { return row_steps() * column_tiles; }

    __device__ __forceinline__ RowTile tile(int64_t n, unsigned rank) const {
        SmallTileOrder order(static_cast<int>(n), row_steps(), static_cast<int>(column_tiles), group);
        int first = (order.row * static_cast<int>(cluster_size()) + static_cast<int>(rank)) * kTile;
        return {0, first, clamp_count(rows - first, kTile), order.column, cluster_size() == 2};
    }
};

}  // namespace dropless
