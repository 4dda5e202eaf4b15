// What the emulated tests of the Hopper kernels share: tensor maps made by the kernel that makes them, launches in clusters.
#pragma once

#include "hopper_maps.cu"
#include "hopper_tile.cuh"
#include "test_support.h"

namespace test {

using namespace dropless;

// Tensor maps of matrices, made together.
struct Maps {
    static constexpr int kMost = kMapsPerLaunch;
    TensorMapsArguments args{};
    Buffer<TensorMap> maps{kMost};

    // The map of a matrix in boxes of so many rows; it exists once `make` has run.
    const TensorMap *of(MatrixBuffer &matrix, int box_rows) { return of(matrix, matrix.rows, matrix.columns, matrix.stride, box_rows); }

    // The same of its memory as another matrix.
    const TensorMap *of(MatrixBuffer &matrix, int64_t rows, int64_t columns, int64_t stride, int box_rows) {
        args.fields[args.count] = {matrix.buffer.data(), matrix.type, columns, rows, stride * 2, kBoxColumns, box_rows};
        return maps.data() + args.count++;
    }

    void make(uint64_t seed) {
        args.maps = maps.data();
        emulator::launch(dropless_tensor_maps, static_cast<unsigned>(args.count), 32, sizeof(TensorMapsShared), args, seed);
        maps.check("tensor maps");
    }
};

// The map of one matrix.
inline TensorMap map_of(MatrixBuffer &matrix, int box_rows) {
    Maps maps;
    maps.of(matrix, box_rows);
    maps.make(1);
    return maps.maps[0];
}

// Blocks alone, or clusters of two.
struct Grid {
    unsigned clusters, cluster;

    explicit Grid(Random &random)
        : clusters(static_cast<unsigned>(random.between(1, 2))), cluster(static_cast<unsigned>(random.between(1, 2))) {}
};

template <class Kernel, class Arguments>
void launch_hopper(Kernel kernel, const Grid &grid, size_t shared, const Arguments &args, uint64_t seed) {
    emulator::launch_clusters(kernel, grid.clusters * grid.cluster, grid.cluster, kHopperThreads, shared, args, seed);
}

// The Hopper kernels compute in two types; so many seeds are twenty of each.
constexpr uint64_t kHopperSeeds = 40;

inline int64_t hopper_type_of_seed(uint64_t seed) { return seed % 2 == 0 ? kBf16 : kF16; }

// One of the two kernels of an operation.
#define HOPPER_KERNEL(name, type) ((type) == dropless::kBf16 ? dropless_hopper_##name##_bf16 : dropless_hopper_##name##_f16)

}  // namespace test
