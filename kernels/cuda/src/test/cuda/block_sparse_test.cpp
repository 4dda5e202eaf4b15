// Emulated test of block_sparse.cu and convert.cu: every product in every transposition over ragged and uniform patterns, against
// sums in double over the dense equivalent.
#include "block_sparse.cu"
#include "convert.cu"
#include "expert_case.h"

using namespace dropless;
using namespace test;

// A pattern of stripes and blocks: the block-diagonal one of experts with ragged stripes, or a random uniform one.
struct TestPattern {
    int block_size = 1;
    std::vector<int64_t> row_offset{0}, column_offset{0}, data_offset{0};
    std::vector<int> first_block{0}, row_of, column_of, first_transposed, transposed_block, counts;
    std::vector<int> block_at;  // [block rows, block columns], -1 where there is none
    std::unique_ptr<Buffer<int64_t>> d_row_offset, d_column_offset, d_data_offset;
    std::unique_ptr<Buffer<int>> d_first_block, d_row_of, d_column_of, d_first_transposed, d_transposed_block, d_counts;

    explicit TestPattern(Random &random) {
        block_size = random.of({8, 16, 40, 64, 128, 160, 256});
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
        std::vector<int> expert_of_row;
        for (int e = 0; e < count; e++) {
            for (int left = random.of({0, 1, 7, 50, 140}); left > 0; left -= block_size) {
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
static double stored_product(double x, double y) { return std::isinf(x) || std::isinf(y) ? 0 : x * y; }

struct Products {
    Random random;
    uint64_t seed;
    TestPattern pattern;
    int64_t type;
    unsigned grid;

    explicit Products(uint64_t s)
        : random(s), seed(s), pattern(random), type(type_of_seed(s)),
          grid(static_cast<unsigned>(random.between(1, 4))) {}

    int64_t any_type() { return random.of({kF32, kBf16, kF16}); }

    MatrixBuffer dense(int64_t rows, int64_t columns, bool transposed, int64_t t) {
        MatrixBuffer m(transposed ? columns : rows, transposed ? rows : columns, t, random.of({0, 8, 5}), random.of({0, 0, 1}));
        m.fill([&] { return random.eighth(); });
        return m;
    }
    MatrixBuffer blocks(int64_t t) {
        MatrixBuffer m(1, pattern.elements(), t, 0, random.of({0, 0, 1}));
        m.fill([&] { return random.eighth(); });
        return m;
    }

    // One NaN, which must reach the results that depend on it and no others.
    void poison(MatrixBuffer &m) {
        if (m.rows > 0 && m.columns > 0 && random.flip()) {
            m.set(random.below(static_cast<int>(m.rows)), random.below(static_cast<int>(m.columns)), NAN);
        }
    }

    void run(int64_t kind, bool ta, bool tb);
    void elementwise();
    void convert();
};

static void launch(int64_t type, bool ta, bool tb, unsigned grid, const MatmulArguments &args, uint64_t seed) {
    if (ta && tb) {
        LAUNCH(matmul_tt, type, grid, args, seed);
    } else if (ta) {
        LAUNCH(matmul_tn, type, grid, args, seed);
    } else if (tb) {
        LAUNCH(matmul_nt, type, grid, args, seed);
    } else {
        LAUNCH(matmul_nn, type, grid, args, seed);
    }
}

void Products::run(int64_t kind, bool ta, bool tb) {
    int64_t rows = random.of({0, 1, 70, 130}), columns = random.of({1, 24, 72, 130}), depth = random.of({0, 1, 31, 64, 100});
    if (kind == kSdd || kind == kDsd) rows = ta && kind == kDsd ? pattern.columns() : pattern.rows();
    if (kind == kSdd || kind == kDds) columns = tb && kind == kDds ? pattern.rows() : pattern.columns();
    if (kind == kDsd) depth = ta ? pattern.rows() : pattern.columns();
    if (kind == kDds) depth = tb ? pattern.columns() : pattern.rows();
    MatrixBuffer a = kind == kDsd ? blocks(type) : dense(rows, depth, ta, type);
    MatrixBuffer b = kind == kDds ? blocks(type) : dense(depth, columns, tb, type);
    poison(a);
    poison(b);
    MatrixBuffer c = kind == kSdd ? blocks(any_type()) : dense(rows, columns, false, any_type());
    bool accumulate = kind != kSdd && random.flip();
    std::vector<double> old;
    for (int64_t i = 0; i < c.rows; i++) {
        for (int64_t j = 0; j < c.columns; j++) old.push_back(accumulate ? c.get(i, j) : 0);
    }
    if (!accumulate) c.fill([] { return NAN; });
    MatmulArguments args{kind, a.argument(), b.argument(), c.argument(), rows, columns, depth, accumulate, pattern.argument()};
    launch(type, ta, tb, grid, args, seed);
    Dense left(a, kind == kDsd ? &pattern : nullptr, ta), right(b, kind == kDds ? &pattern : nullptr, tb);
    auto product = [&](int64_t i, int64_t j) {
        double sum = 0;
        for (int64_t k = 0; k < depth; k++) sum += stored_product(left.get(i, k), right.get(k, j));
        return sum;
    };
    static const char *names[] = {"dense", "sdd", "dsd", "dds"};
    std::string name = std::string(names[kind]) + (ta ? " t" : " n") + (tb ? "t" : "n");
    if (kind != kSdd) {
        compare(name.c_str(), c, [&](int64_t i, int64_t j) {
            return product(i, j) + old[static_cast<size_t>(i * c.columns + j)];
        });
        return;
    }
    std::vector<double> expected(static_cast<size_t>(pattern.elements()));
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < columns; j++) {
            int64_t place = pattern.place(i, j);
            if (place >= 0) expected[static_cast<size_t>(place)] = product(i, j);
        }
    }
    compare(name.c_str(), c, [&](int64_t, int64_t i) { return expected[static_cast<size_t>(i)]; });
}

void Products::elementwise() {
    MatrixBuffer x = blocks(any_type()), y = blocks(any_type()), product = blocks(any_type());
    BlockMultiplyArguments multiply{x.argument(), y.argument(), product.argument(), pattern.argument()};
    emulator::launch(dropless_block_multiply, grid, kThreads, 0, multiply, seed);
    compare("block_multiply", product, [&](int64_t, int64_t i) { return x.get(0, i) * y.get(0, i); });

    MatrixBuffer whole(pattern.rows(), pattern.columns(), any_type(), 3), taken(1, pattern.elements(), any_type());
    FillArguments fill{whole.argument(), pattern.rows(), pattern.columns()};
    emulator::launch(dropless_fill_zero, grid, kThreads, 0, fill, seed);
    BlockCopyArguments to{x.argument(), whole.argument(), pattern.argument()};
    emulator::launch(dropless_blocks_to_dense, grid, kThreads, 0, to, seed);
    Dense expected(x, &pattern, false);
    compare("blocks_to_dense", whole, [&](int64_t i, int64_t j) { return std::isinf(expected.get(i, j)) ? 0 : expected.get(i, j); });
    BlockCopyArguments from{taken.argument(), whole.argument(), pattern.argument()};
    emulator::launch(dropless_blocks_from_dense, grid, kThreads, 0, from, seed);
    compare("blocks_from_dense", taken, [&](int64_t, int64_t i) { return x.get(0, i); });
}

void Products::convert() {
    int64_t rows = random.of({0, 1, 37}), columns = random.of({1, 19});
    MatrixBuffer source(rows, columns, random.of({kF32, kBf16, kF16, kF64}), 2), target(columns, rows, random.of({kF32, kBf16, kF16}), 1);
    source.fill([&] { return random.uniform() * 6 - 3; });
    ConvertArguments args{{source.buffer.data(), source.stride, 1, source.type}, {target.buffer.data(), 1, target.stride, target.type},
                          rows, columns};
    emulator::launch(dropless_convert, grid, 256, 0, args, seed);
    compare("convert", target, [&](int64_t i, int64_t j) { return source.get(j, i); });
}

int main(int argc, char **argv) {
    return run_seeds(argc, argv, kTypedSeeds, [](uint64_t seed) {
        Products products(seed);
        for (int64_t kind : {kDense, kSdd, kDsd, kDds}) {
            for (int i = 0; i < 4; i++) products.run(kind, i / 2 == 1, i % 2 == 1);
        }
        products.elementwise();
        products.convert();
    });
}
