// Block patterns for the tests of block-sparse products, and what a matrix with one is as a dense matrix.
#pragma once

#include "pattern.cuh"
#include "test_support.h"

namespace test {

using namespace dropless;

// Which patterns are made.
struct PatternSizes {
    std::vector<int> block_sizes = {8, 16, 40, 64, 128, 160, 256};
    bool whole_columns = false;  // whether all block columns have the width of a block
    int row_step = 1;            // what the rows of experts are multiples of
};

// A pattern of stripes and blocks: the block-diagonal one of experts with ragged stripes, or a random uniform one.
struct TestPattern {
    PatternSizes sizes;
    int block_size = 1;
    std::vector<int64_t> row_offset{0}, column_offset{0}, data_offset{0};
    std::vector<int> first_block{0}, row_of, column_of, first_transposed, transposed_block, counts;
    std::vector<int> block_at;  // [block rows, block columns], -1 where there is none
    std::unique_ptr<Buffer<int64_t>> d_row_offset, d_column_offset, d_data_offset;
    std::unique_ptr<Buffer<int>> d_first_block, d_row_of, d_column_of, d_first_transposed, d_transposed_block, d_counts;

    explicit TestPattern(Random &random, const PatternSizes &s = {}) : sizes(s) {
        block_size = sizes.block_sizes[static_cast<size_t>(random.below(static_cast<int>(sizes.block_sizes.size())))];
        std::vector<int> heights, widths;
        std::vector<std::vector<bool>> mask;
        if (random.flip()) {
            experts(random, heights, widths, mask);
        } else {
            uniform(random, heights, widths, mask);
        }
        for (int h : heights) row_offset.push_back(row_offset.back() + h);
        for (int w : widths) column_offset.push_back(column_offset.back() + w);
        for (size_t r = 0; r < heights.size(); r++) {
            for (size_t c = 0; c < widths.size(); c++) {
                block_at.push_back(mask[r][c] ? static_cast<int>(row_of.size()) : -1);
                if (!mask[r][c]) continue;
                row_of.push_back(static_cast<int>(r));
                column_of.push_back(static_cast<int>(c));
                data_offset.push_back(data_offset.back() + int64_t{heights[r]} * widths[c]);
            }
            first_block.push_back(static_cast<int>(row_of.size()));
        }
        for (size_t c = 0; c < widths.size(); c++) {
            first_transposed.push_back(static_cast<int>(transposed_block.size()));
            for (size_t r = 0; r < heights.size(); r++) {
                if (mask[r][c]) transposed_block.push_back(block_at[r * widths.size() + c]);
            }
        }
        first_transposed.push_back(static_cast<int>(transposed_block.size()));
        counts = {static_cast<int>(heights.size()), static_cast<int>(widths.size()), static_cast<int>(row_of.size())};
        copy(d_row_offset, row_offset);
        copy(d_column_offset, column_offset);
        copy(d_data_offset, data_offset);
        copy(d_first_block, first_block);
        copy(d_row_of, row_of);
        copy(d_column_of, column_of);
        copy(d_first_transposed, first_transposed);
        copy(d_transposed_block, transposed_block);
        copy(d_counts, counts);
    }

    void experts(Random &random, std::vector<int> &heights, std::vector<int> &widths, std::vector<std::vector<bool>> &mask) {
        int count = random.between(1, 4), ffn = random.of({8, 33, 72, 130, 200});
        if (sizes.whole_columns) ffn = block_size * random.between(1, block_size > 128 ? 1 : 3);
        std::vector<int> expert_of_row;
        for (int e = 0; e < count; e++) {
            int height = random.of({0, 1, 7, 50, 140}) / sizes.row_step * sizes.row_step;
            for (int left = height; left > 0; left -= block_size) {
                heights.push_back(std::min(left, block_size));
                expert_of_row.push_back(e);
            }
            for (int left = ffn; left > 0; left -= block_size) widths.push_back(std::min(left, block_size));
        }
        size_t q = widths.size() / static_cast<size_t>(count);
        for (int e : expert_of_row) {
            mask.emplace_back();
            for (size_t c = 0; c < widths.size(); c++) mask.back().push_back(c / q == static_cast<size_t>(e));
        }
    }

    void uniform(Random &random, std::vector<int> &heights, std::vector<int> &widths, std::vector<std::vector<bool>> &mask) {
        int most = block_size >= 128 ? 2 : 4;
        heights.assign(static_cast<size_t>(random.between(0, most)), block_size);
        widths.assign(static_cast<size_t>(random.between(1, most)), block_size);
        for (size_t r = 0; r < heights.size(); r++) {
            mask.emplace_back();
            for (size_t c = 0; c < widths.size(); c++) mask.back().push_back(random.flip());
        }
    }

    template <class T> static void copy(std::unique_ptr<Buffer<T>> &buffer, const std::vector<T> &values) {
        buffer = std::make_unique<Buffer<T>>(static_cast<int64_t>(values.size()));
        buffer->assign(values);
    }

    int64_t rows() const { return row_offset.back(); }
    int64_t columns() const { return column_offset.back(); }
    int64_t elements() const { return data_offset.back(); }

    Pattern argument() {
        return {d_row_offset->data(), d_column_offset->data(), d_data_offset->data(), d_first_block->data(), d_row_of->data(),
                d_column_of->data(), d_first_transposed->data(), d_transposed_block->data(), d_counts->data(), block_size};
    }

    // Where an element of the whole matrix is stored, or -1.
    int64_t place(int64_t row, int64_t column) const {
        auto stripe = [](const std::vector<int64_t> &offset, int64_t i) {
            return std::upper_bound(offset.begin(), offset.end(), i) - offset.begin() - 1;
        };
        int64_t r = stripe(row_offset, row), c = stripe(column_offset, column);
        auto at = [](const auto &v, int64_t i) { return v[static_cast<size_t>(i)]; };
        int block = at(block_at, r * counts[1] + c);
        if (block < 0) return -1;
        int64_t width = at(column_offset, c + 1) - at(column_offset, c);
        return at(data_offset, block) + (row - at(row_offset, r)) * width + column - at(column_offset, c);
    }
};

// op(m) as a dense matrix of doubles, for a dense or a sparse m; minus infinity where nothing is stored.
struct Dense {
    int64_t columns;
    std::vector<double> values;

    Dense(MatrixBuffer &m, const TestPattern *pattern, bool transposed) {
        int64_t rows = pattern != nullptr ? pattern->rows() : m.rows;
        columns = pattern != nullptr ? pattern->columns() : m.columns;
        if (transposed) std::swap(rows, columns);
        for (int64_t i = 0; i < rows; i++) {
            for (int64_t j = 0; j < columns; j++) values.push_back(element(m, pattern, transposed ? j : i, transposed ? i : j));
        }
    }

    static double element(MatrixBuffer &m, const TestPattern *pattern, int64_t i, int64_t j) {
        if (pattern == nullptr) return m.get(i, j);
        int64_t place = pattern->place(i, j);
        return place < 0 ? -INFINITY : m.get(0, place);
    }

    double get(int64_t i, int64_t j) const { return values[static_cast<size_t>(i * columns + j)]; }
};

// x y, where an element that is not stored (minus infinity here) contributes nothing, not even to a NaN.
inline double stored_product(double x, double y) { return std::isinf(x) || std::isinf(y) ? 0 : x * y; }

}  // namespace test
