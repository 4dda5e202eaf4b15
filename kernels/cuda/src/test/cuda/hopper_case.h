// What the emulated tests of the Hopper kernels share: tensor maps of test matrices, launches in clusters.
#pragma once

#include "hopper_tile.cuh"
#include "test_support.h"

namespace test {

using namespace dropless;

// A tensor map of a matrix in boxes of this many rows.
inline TensorMap map_of(MatrixBuffer &matrix, int box_rows) {
    TensorMap map{};
    TensorMapFields fields{matrix.buffer.data(), matrix.type, std::max<int64_t>(matrix.columns, 1), std::max<int64_t>(matrix.rows, 1),
                           matrix.stride * 2, kBoxColumns, box_rows};
    write_tensor_map(&map, fields);
    return map;
}

// Blocks alone, or clusters of two.
struct Grid {
    unsigned clusters, cluster;

    explicit Grid(Random &random) : clusters(static_cast<unsigned>(random.between(1, 2))), cluster(static_cast<unsigned>(random.between(1, 2))) {}
};

template <class Kernel, class Arguments>
void launch_hopper(Kernel kernel, const Grid &grid, size_t shared, const Arguments &args, uint64_t seed) {
    emulator::launch_clusters(kernel, grid.clusters * grid.cluster, grid.cluster, kHopperThreads, shared, args, seed);
}

}  // namespace test
