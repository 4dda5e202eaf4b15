// Layers small enough for the emulated Hopper kernels: sizes are multiples of eight, as their copies want it.
#pragma once

#include "expert_case.h"
#include "hopper_case.h"

namespace test {

inline Shape hopper_shape(Random &random, uint64_t seed) {
    Shape s;
    s.tokens = random.of({0, 1, 7, 70, 130, 150});
    s.hidden = random.of({8, 64, 128, 136, 200});
    s.ffn = random.of({8, 64, 128, 136, 264});
    s.experts = random.of({1, 3, 5});
    s.top_k = std::min(random.of({1, 2}), s.experts);
    if (random.below(8) == 0) {  // several full tiles of an expert
        s.tokens = 300;
        s.experts = 2;
        s.top_k = 1;
        s.hidden = s.ffn = 64;
    }
    if (random.below(6) == 0) {  // more steps than stages
        s.tokens = 20;
        s.hidden = random.of({456, 8});
        s.ffn = s.hidden == 8 ? 456 : 64;
    }
    s.gated = random.flip();
    s.type = hopper_type_of_seed(seed);
    return s;
}

struct HopperLayer {
    Random random;
    uint64_t seed;
    Shape shape;
    Topology topology;
    int poisoned;  // expert whose rows are NaN where rows are given, or -1
    int gap;       // elements between rows

    explicit HopperLayer(uint64_t s)
        : random(s), seed(s), shape(hopper_shape(random, s)), topology(shape, random_ids(shape, random)),
          poisoned(random.flip() ? random.below(shape.experts) : -1), gap(8 * random.below(2)) {}

    int rows() const { return topology.rows(); }
    MatrixBuffer matrix(int64_t r, int64_t c) { return {r, c, shape.type, gap}; }
    MatrixBuffer filled(int64_t r, int64_t c) { return filled(r, c, shape.type); }
    MatrixBuffer filled(int64_t r, int64_t c, int64_t type) {
        MatrixBuffer m(r, c, type, gap);
        m.fill([&] { return random.eighth(); });
        return m;
    }
    // One row for each token, which for tokens without rows of experts is NaN.
    MatrixBuffer tokens(int64_t columns) {
        MatrixBuffer m(shape.tokens, columns, shape.type, gap);
        for (int token : topology.token_of_row) {
            for (int64_t j = 0; j < columns; j++) m.set(token, j, random.eighth());
        }
        return m;
    }
    int64_t group() { return random.of({1, 2, 8}); }
};

template <class Bf16, class F16, class Arguments>
void launch_hopper(int64_t type, Bf16 b16, F16 h16, Random &random, size_t shared, const Arguments &args, uint64_t seed) {
    if (type == kBf16) {
        launch_hopper(b16, Grid(random), shared, args, seed);
    } else {
        launch_hopper(h16, Grid(random), shared, args, seed);
    }
}

// Runs a kernel twice, in other grids and schedules: what `bytes` gives must be the same. `reset` restores what the kernel reads and writes.
template <class Kernel, class Arguments>
void launch_twice(
    const char *name, Kernel kernel, HopperLayer &layer, size_t shared, const Arguments &args, const std::function<void()> &reset,
    const std::function<std::vector<char>()> &bytes) {
    launch_hopper(kernel, Grid(layer.random), shared, args, layer.seed);
    std::vector<char> first = bytes();
    reset();
    launch_hopper(kernel, Grid(layer.random), shared, args, layer.seed + 1000);
    if (first != bytes()) report_mismatch(std::string(name) + ": another schedule gives other bits");
}

}  // namespace test
