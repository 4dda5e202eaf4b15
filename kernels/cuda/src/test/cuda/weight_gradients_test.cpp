// Emulated test of weight_gradients.cu: gradients of weights and biases against sums in double.
#include "expert_case.h"
#include "weight_gradients.cu"

using namespace dropless;
using namespace test;

struct Gradients {
    Random random;
    uint64_t seed;
    Shape shape;
    Topology topology;
    int gap, shift, poisoned;
    unsigned grid;

    explicit Gradients(uint64_t s)
        : random(s), seed(s), shape(random_shape(random, s)), topology(shape, random_ids(shape, random)), gap(random.of({0, 8, 5})),
          shift(random.of({0, 0, 1})), poisoned(random.flip() ? random.below(shape.experts) : -1),
          grid(static_cast<unsigned>(random.between(1, 3))) {}

    int64_t any_type() { return random.of({kF32, kBf16, kF16}); }

    MatrixBuffer filled(int64_t rows, int64_t columns, int64_t type) {
        MatrixBuffer m(rows, columns, type, gap, shift);
        m.fill([&] { return random.eighth(); });
        return m;
    }

    // Old gradients: numbers, or NaN where they are to be overwritten.
    MatrixBuffer gradient(int64_t rows, int64_t columns, int64_t type, bool accumulate) {
        MatrixBuffer m(rows, columns, type);
        if (accumulate) m.fill([&] { return random.eighth(); });
        return m;
    }

    static std::vector<double> values(MatrixBuffer &m) {
        std::vector<double> all;
        for (int64_t i = 0; i < m.rows; i++) {
            for (int64_t j = 0; j < m.columns; j++) all.push_back(m.get(i, j));
        }
        return all;
    }

    void weights(bool up);
    void bias(bool by_token);
};

// up: rows are those of dPre, columns those of x. down: rows those of dY, columns those of hidden.
void Gradients::weights(bool up) {
    int64_t rows = up ? shape.pre() : shape.hidden, columns = up ? shape.hidden : shape.ffn;
    bool accumulate = random.flip();
    MatrixBuffer left = filled(up ? topology.rows() : shape.tokens, rows, shape.type);
    MatrixBuffer right = filled(up ? shape.tokens : topology.rows(), columns, shape.type);
    poison_rows(up ? left : right, topology, poisoned);
    SlotWeights scale(topology, random);
    MatrixBuffer g = gradient(shape.experts * rows, columns, any_type(), accumulate);
    std::vector<double> old = values(g);
    WeightGradientArguments args{topology.plan(), left.argument(), right.argument(), scale.argument(), g.buffer.data(), g.type,
                                 rows, columns, accumulate};
    if (up) {
        LAUNCH(up_wgrad, shape.type, grid, args, seed);
    } else {
        LAUNCH(down_wgrad, shape.type, grid, args, seed);
    }
    compare(up ? "up_wgrad" : "down_wgrad", g, [&](int64_t i, int64_t j) {
        int64_t e = i / rows;
        double sum = accumulate ? old[static_cast<size_t>(i * columns + j)] : 0;
        for (int r = topology.first(e); r < topology.last(e); r++) {
            double x = left.get(up ? r : topology.token(r), i % rows), y = right.get(up ? topology.token(r) : r, j);
            sum += scale.get(topology.slot(r)) * x * y;
        }
        return sum;
    });
}

void Gradients::bias(bool by_token) {
    bool accumulate = random.flip();
    MatrixBuffer source = filled(by_token ? shape.tokens : topology.rows(), shape.hidden, any_type());
    if (!by_token) poison_rows(source, topology, poisoned);
    SlotWeights scale(topology, random);
    MatrixBuffer g = gradient(shape.experts, shape.hidden, any_type(), accumulate);
    std::vector<double> old = values(g);
    BiasGradientArguments args{topology.plan(), source.argument(), scale.argument(), g.argument(), shape.hidden, by_token, accumulate};
    emulator::launch(dropless_bias_grad, grid, kThreads, sizeof(BiasShared), args, seed);
    compare("bias_grad", g, [&](int64_t e, int64_t j) {
        double sum = accumulate ? old[static_cast<size_t>(e * shape.hidden + j)] : 0;
        for (int r = topology.first(e); r < topology.last(e); r++) {
            sum += scale.get(topology.slot(r)) * source.get(by_token ? topology.token(r) : r, j);
        }
        return sum;
    });
}

int main(int argc, char **argv) {
    return run_seeds(argc, argv, kTypedSeeds, [](uint64_t seed) {
        Gradients gradients(seed);
        gradients.weights(true);
        gradients.weights(false);
        gradients.bias(true);
        gradients.bias(false);
    });
}
