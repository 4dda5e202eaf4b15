// Emulated test of block_sparse.cu and convert.cu: every product in every transposition over ragged and uniform patterns, against
// sums in double over the dense equivalent.
#include "block_sparse.cu"
#include "convert.cu"
#include "expert_case.h"
#include "pattern_case.h"

using namespace dropless;
using namespace test;

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
