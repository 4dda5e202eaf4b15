// A block pattern on the device.
#pragma once

#include "matrix.cuh"

namespace dropless {

// Argument of the kernels: ten 64-bit words. Arrays as BlockPattern in Java, on the device.
struct Pattern {
    const int64_t *row_offset;     // [block rows + 1] first matrix row of a block row
    const int64_t *column_offset;  // [block columns + 1]
    const int64_t *data_offset;    // [blocks + 1] in elements
    const int *first_block;        // [block rows + 1]
    const int *row_of;             // [blocks]
    const int *column_of;          // [blocks]
    const int *first_transposed;   // [block columns + 1]
    const int *transposed_block;   // [blocks]
    const int *counts;             // [3] block rows, block columns, blocks
    int64_t block_size;
};

enum ProductKind : int64_t { kDense, kSdd, kDsd, kDds };

}  // namespace dropless
