// Emulated test of hopper_blocks.cu: every product in every transposition over ragged and uniform patterns, against sums in double over
// the dense equivalent.
#include "hopper_blocks.cu"
#include "hopper_case.h"
#include "pattern_case.h"

using namespace dropless;
using namespace test;

struct HopperProducts {
    Random random;
    uint64_t seed;
    TestPattern pattern;
    int64_t type;

    explicit HopperProducts(uint64_t s)
        : random(s), seed(s), pattern(random, {{8, 16, 40, 64, 128, 128, 256}, true, random.of({1, 8})}),
          type(hopper_type_of_seed(s)) {}

    MatrixBuffer filled(int64_t rows, int64_t columns, int64_t gap) {
        MatrixBuffer m(rows, columns, type, gap);
        m.fill([&] { return random.eighth(); });
        return m;
    }
    MatrixBuffer dense(int64_t rows, int64_t columns, bool transposed) {
        int64_t r = transposed ? columns : rows, c = transposed ? rows : columns;
        int64_t aligned = (c + 7) / 8 * 8;  // rows begin at multiples of 16 bytes
        return filled(r, c, aligned - c + 8 * random.below(2));
    }
    MatrixBuffer blocks() { return filled(pattern.elements() / pattern.block_size, pattern.block_size, 0); }

    // One NaN, which must reach the results that depend on it and no others.
    void poison(MatrixBuffer &m) {
        if (m.rows > 0 && m.columns > 0 && random.flip()) {
            m.set(random.below(static_cast<int>(m.rows)), random.below(static_cast<int>(m.columns)), NAN);
        }
    }

    bool is_ragged() const {
        for (size_t i = 0; i + 1 < pattern.row_offset.size(); i++) {
            if (pattern.row_offset[i + 1] - pattern.row_offset[i] != pattern.block_size) return true;
        }
        return false;
    }

    int64_t most_blocks() const {
        int most = 0;
        for (size_t i = 0; i + 1 < pattern.first_block.size(); i++) most = std::max(most, pattern.first_block[i + 1] - pattern.first_block[i]);
        return most;
    }

    void run(int64_t kind, bool ta, bool tb);
    void launch(bool ta, bool tb, const HopperBlocksArguments &args);
};

void HopperProducts::launch(bool ta, bool tb, const HopperBlocksArguments &args) {
    size_t shared = sizeof(HopperShared<BlocksEngine<bf16, Layout::kDepthMajor, Layout::kDepthMajor>>);
    auto kernel = ta && tb ? HOPPER_KERNEL(blocks_tt, type)
                  : ta     ? HOPPER_KERNEL(blocks_tn, type)
                  : tb     ? HOPPER_KERNEL(blocks_nt, type)
                           : HOPPER_KERNEL(blocks_nn, type);
    launch_hopper(kernel, Grid(random), shared, args, seed);
}

// ta and tb are the transpositions of the operands as the kernel gets them: of DDS the sparse one first, and both turned.
void HopperProducts::run(int64_t kind, bool ta, bool tb) {
    bool sparse_first = kind == kDsd || kind == kDds;
    bool runs_over_rows = (kind == kSdd && ta) || (sparse_first && ta && tb);  // where a row of a dense operand goes on
    if (runs_over_rows && pattern.sizes.row_step % 8 != 0 && is_ragged()) return;
    int64_t rows = random.of({1, 70, 130, 300}), columns = random.of({8, 24, 72, 136, 264}), depth = random.of({8, 24, 64, 104, 136});
    if (sparse_first) {
        rows = ta ? pattern.columns() : pattern.rows();
        depth = ta ? pattern.rows() : pattern.columns();
    }
    if (kind == kSdd) {
        rows = pattern.rows();
        columns = pattern.columns();
    }
    if (rows == 0 || depth == 0) return;
    MatrixBuffer a = sparse_first ? blocks() : dense(rows, depth, ta), b = dense(depth, columns, tb);
    poison(a);
    poison(b);
    bool turned = kind == kDds, boxes = !turned && random.flip(), accumulate = kind != kSdd && !boxes && random.flip();
    int64_t result_type = boxes ? type : random.of({kF32, kBf16, kF16});
    int64_t c_columns = turned ? rows : columns, c_gap = boxes ? 8 * random.below(2) : random.of({0, 5, 8});
    MatrixBuffer c(kind == kSdd ? 1 : turned ? columns : rows, kind == kSdd ? pattern.elements() : c_columns, result_type,
                   kind == kSdd ? 0 : c_gap);
    std::vector<double> old;
    for (int64_t i = 0; i < c.rows; i++) {
        for (int64_t j = 0; j < c.columns; j++) {
            if (accumulate) c.set(i, j, random.eighth());
            old.push_back(accumulate ? c.get(i, j) : 0);
        }
    }
    Maps maps;
    const TensorMap *a_map = maps.of(a, ta ? kBoxColumns : kTile), *b_map = maps.of(b, tb ? kTile : kBoxColumns), *c_map = nullptr;
    if (boxes && kind == kSdd) c_map = maps.of(c, pattern.elements() / pattern.block_size, pattern.block_size, pattern.block_size, kBoxColumns);
    if (boxes && kind != kSdd) c_map = maps.of(c, kBoxColumns);
    maps.make(seed);
    HopperBlocksArguments args{kind, a_map, b_map, c.argument(), c_map, rows, columns, depth, accumulate, is_ragged() || random.flip(),
                               most_blocks() + random.below(2), random.of({1, 2, 8}), pattern.argument()};
    launch(ta, tb, args);

    Dense left(a, sparse_first ? &pattern : nullptr, ta), right(b, nullptr, tb);
    auto product = [&](int64_t i, int64_t j) {
        double sum = 0;
        for (int64_t k = 0; k < depth; k++) sum += stored_product(left.get(i, k), right.get(k, j));
        return sum;
    };
    static const char *names[] = {"dense", "sdd", "dsd", "dds"};
    std::string name = std::string(names[kind]) + (ta ? " t" : " n") + (tb ? "t" : "n");
    if (kind != kSdd) {
        compare(name.c_str(), c, [&](int64_t i, int64_t j) {
            return product(turned ? j : i, turned ? i : j) + old[static_cast<size_t>(i * c.columns + j)];
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

int main(int argc, char **argv) {
    return run_seeds(argc, argv, kHopperSeeds, [](uint64_t seed) {
        HopperProducts products(seed);
        for (int64_t kind : {kDense, kSdd, kDsd, kDds}) {
            for (int i = 0; i < 4; i++) products.run(kind, i / 2 == 1, i % 2 == 1);
        }
    });
}
