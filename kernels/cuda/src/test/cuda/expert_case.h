// A random layer of experts: shape, topology with its tile plan, weights, inputs. Shared by the tests of the expert path.
//
// Inputs are multiples of 1/8 and weights of slots multiples of 1/4, so that linear results are exact in fp32 in any order of
// summation. Weights of experts without rows are NaN: nothing may read them into a result.
#pragma once

#include "plan.cuh"
#include "test_support.h"

namespace test {

using namespace dropless;

// Seeds of a test whose kernels exist for three types: twenty for each.
constexpr uint64_t kTypedSeeds = 60;

inline int64_t type_of_seed(uint64_t seed) { return static_cast<int64_t>(seed % 3); }

struct Shape {
    int tokens, hidden, ffn, experts, top_k;
    bool gated;
    int64_t type;
    int pre() const { return gated ? 2 * ffn : ffn; }
};

inline Shape random_shape(Random &random, uint64_t seed) {
    Shape s;
    s.tokens = random.of({0, 1, 7, 60, 130, 130});
    s.hidden = random.of({64, 128, 40, 100, 65, 192});
    s.ffn = random.of({64, 128, 33, 72, 130, 8});
    s.experts = random.of({1, 3, 8, 8});
    s.top_k = std::min(random.of({1, 2, 3}), s.experts);
    if (random.below(8) == 0) {
        s.experts = 64;
        s.tokens = 7;
    }
    if (random.below(8) == 0) {  // several tiles of one expert
        s.experts = 2;
        s.tokens = 300;
        s.top_k = 1;
        s.hidden = 40;
        s.ffn = 24;
    }
    s.gated = random.flip();
    s.type = type_of_seed(seed);
    return s;
}

// A topology by plain loops, and the arrays of it on the "device".
struct Topology {
    Shape shape;
    std::vector<int> offsets, slot_of_row, token_of_row, row_of_slot, expert_of_row, tile_expert, tile_row, tile_rows;
    Buffer<int> d_offsets, d_slot_of_row, d_token_of_row, d_row_of_slot, d_tile_count, d_tile_expert, d_tile_row, d_tile_rows;

    Topology(const Shape &s, const std::vector<int> &ids)
        : shape(s), d_offsets(s.experts + 1), d_slot_of_row(count(ids)), d_token_of_row(count(ids)),
          d_row_of_slot(static_cast<int64_t>(ids.size())), d_tile_count(1),
          d_tile_expert(static_cast<int64_t>(ids.size()) / kTile + s.experts), d_tile_row(d_tile_expert.size),
          d_tile_rows(d_tile_expert.size) {
        row_of_slot.assign(ids.size(), -1);
        for (int e = 0; e < s.experts; e++) {
            offsets.push_back(static_cast<int>(slot_of_row.size()));
            for (size_t slot = 0; slot < ids.size(); slot++) {
                if (ids[slot] != e) continue;
                row_of_slot[slot] = static_cast<int>(slot_of_row.size());
                slot_of_row.push_back(static_cast<int>(slot));
                token_of_row.push_back(static_cast<int>(slot) / s.top_k);
                expert_of_row.push_back(e);
            }
        }
        offsets.push_back(static_cast<int>(slot_of_row.size()));
        for (int height = kTile; height > 0; height--) {  // highest first
            for (int e = 0; e < s.experts; e++) {
                for (int row = offsets[at(e)]; row < offsets[at(e) + 1]; row += kTile) {
                    if (std::min(kTile, offsets[at(e) + 1] - row) != height) continue;
                    tile_expert.push_back(e);
                    tile_row.push_back(row);
                    tile_rows.push_back(height);
                }
            }
        }
        d_offsets.assign(offsets);
        d_slot_of_row.assign(slot_of_row);
        d_token_of_row.assign(token_of_row);
        d_row_of_slot.assign(row_of_slot);
        d_tile_count[0] = static_cast<int>(tile_expert.size());
        d_tile_expert.assign(tile_expert);
        d_tile_row.assign(tile_row);
        d_tile_rows.assign(tile_rows);
    }

    static size_t at(int64_t i) { return static_cast<size_t>(i); }
    static int64_t count(const std::vector<int> &ids) {
        return static_cast<int64_t>(std::count_if(ids.begin(), ids.end(), [](int id) { return id >= 0; }));
    }
    int rows() const { return offsets.back(); }
    int slots() const { return shape.tokens * shape.top_k; }
    int slot(int64_t row) const { return slot_of_row[at(row)]; }
    int token(int64_t row) const { return token_of_row[at(row)]; }
    int expert(int64_t row) const { return expert_of_row[at(row)]; }
    int first(int64_t e) const { return offsets[at(e)]; }
    int last(int64_t e) const { return offsets[at(e) + 1]; }
    bool empty(int64_t e) const { return first(e) == last(e); }

    Plan plan() {
        return {d_offsets.data(), d_slot_of_row.data(), d_token_of_row.data(), d_row_of_slot.data(), d_tile_count.data(),
                d_tile_expert.data(), d_tile_row.data(), d_tile_rows.data(), shape.experts, shape.top_k, shape.tokens};
    }
};

// Distinct experts per token: uniform, skewed, one hot, with holes, with unassigned slots.
inline std::vector<int> random_ids(const Shape &s, Random &random) {
    int style = random.below(5), hot = random.below(s.experts);
    std::vector<int> ids;
    for (int t = 0; t < s.tokens; t++) {
        std::vector<int> chosen;
        while (static_cast<int>(chosen.size()) < s.top_k) {
            int id = random.below(s.experts);
            if (style == 1) id = std::min(id, random.below(s.experts));
            if (style == 2 && chosen.empty()) id = hot;
            if (style == 3 && s.experts > 2 * s.top_k) id = id / 2 * 2;
            if (std::find(chosen.begin(), chosen.end(), id) == chosen.end()) chosen.push_back(id);
        }
        for (int id : chosen) ids.push_back(style == 4 && random.below(4) == 0 ? -1 : id);
    }
    return ids;
}

// Weights of all experts, [experts, rows, columns] dense.
struct Weights {
    int64_t rows, columns;
    MatrixBuffer matrix;

    Weights(const Topology &topology, int64_t r, int64_t c, int64_t type, Random &random, int shift = 0)
        : rows(r), columns(c), matrix(topology.shape.experts * r, c, type, 0, shift) {
        for (int64_t i = 0; i < matrix.rows; i++) {
            if (topology.empty(i / r)) continue;
            for (int64_t j = 0; j < c; j++) matrix.set(i, j, random.eighth());
        }
    }
    double get(int64_t expert, int64_t row, int64_t column) { return matrix.get(expert * rows + row, column); }
    void *data() { return matrix.buffer.data(); }
};

// Weights of slots, or none.
struct SlotWeights {
    bool present;
    Buffer<float> buffer;

    SlotWeights(const Topology &topology, Random &random) : present(random.below(3) > 0), buffer(topology.slots()) {
        for (int i = 0; i < topology.slots(); i++) {
            if (topology.row_of_slot[static_cast<size_t>(i)] >= 0) buffer[i] = static_cast<float>(random.between(1, 4)) / 4;
        }
    }
    const float *argument() { return present ? buffer.data() : nullptr; }
    double get(int slot) { return present ? static_cast<double>(buffer[slot]) : 1.0; }
};

// Rows of one expert may be NaN: the results of all others must not change.
inline void poison_rows(MatrixBuffer &rows, const Topology &topology, int expert) {
    if (expert < 0) return;
    for (int r = topology.first(expert); r < topology.last(expert); r++) {
        for (int64_t c = 0; c < rows.columns; c++) rows.set(r, c, NAN);
    }
}

template <class Arguments, class F32, class Bf16, class F16>
void launch_typed(int64_t type, F32 f32, Bf16 b16, F16 h16, unsigned grid, const Arguments &args, uint64_t seed) {
    size_t float_bytes = sizeof(TileShared<FloatUnits>);
    if (type == kF32) {
        emulator::launch(f32, grid, kThreads, float_bytes, args, seed);
    } else if (type == kBf16) {
        emulator::launch(b16, grid, kThreads, sizeof(TileShared<TensorCore<bf16>>), args, seed);
    } else {
        emulator::launch(h16, grid, kThreads, sizeof(TileShared<TensorCore<f16>>), args, seed);
    }
}

#define LAUNCH(name, type, grid, args, seed) \
    test::launch_typed(type, dropless_##name##_f32, dropless_##name##_bf16, dropless_##name##_f16, grid, args, seed)

}  // namespace test
