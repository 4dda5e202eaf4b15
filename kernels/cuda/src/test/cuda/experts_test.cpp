// Emulated test of experts.cu and combine.cu: every product of forward and backward against sums in double.
#include "activation_case.h"
#include "combine.cu"
#include "expert_case.h"
#include "experts.cu"

using namespace dropless;
using namespace test;

struct Layer {
    Random random;
    uint64_t seed;
    Shape shape;
    Topology topology;
    Activation activation;
    int poisoned;  // expert whose rows are NaN where rows are given, or -1
    int gap, shift;
    unsigned grid;

    explicit Layer(uint64_t s)
        : random(s), seed(s), shape(random_shape(random, s)), topology(shape, random_ids(shape, random)),
          activation(random_activation(random)), poisoned(random.flip() ? random.below(shape.experts) : -1),
          gap(random.of({0, 0, 8, 5})), shift(random.of({0, 0, 1})), grid(static_cast<unsigned>(random.between(1, 3))) {}

    int64_t any_type() { return random.of({kF32, kBf16, kF16}); }
    int rows() const { return topology.rows(); }

    MatrixBuffer matrix(int64_t r, int64_t c, int64_t type) { return {r, c, type, gap, shift}; }
    MatrixBuffer filled(int64_t r, int64_t c, int64_t type) {
        MatrixBuffer m(r, c, type, gap, shift);
        m.fill([&] { return random.eighth(); });
        return m;
    }

    void up();
    void down();
    void down_dgrad();
    void up_dgrad();
    void combine();
};

void Layer::up() {
    MatrixBuffer x = filled(shape.tokens, shape.hidden, shape.type);
    Weights w(topology, shape.pre(), shape.hidden, shape.type, random, shift);
    MatrixBuffer bias = filled(shape.experts, shape.pre(), any_type());
    MatrixBuffer pre = matrix(rows(), shape.pre(), any_type()), hidden = matrix(rows(), shape.ffn, any_type());
    SlotWeights v(topology, random);
    bool with_bias = random.flip(), with_pre = random.below(3) > 0;
    UpArguments args{topology.plan(), x.argument(), v.argument(), w.data(), with_bias ? bias.argument() : none(),
                     with_pre ? pre.argument() : none(), hidden.argument(), activation, shape.hidden, shape.ffn, shape.gated};
    LAUNCH(up, shape.type, grid, args, seed);
    auto expected = [&](int64_t r, int64_t p) {
        double sum = 0;
        int e = topology.expert(r);
        for (int h = 0; h < shape.hidden; h++) sum += x.get(topology.token(r), h) * w.get(e, p, h);
        return sum * v.get(topology.slot(r)) + (with_bias ? bias.get(e, p) : 0);
    };
    if (with_pre) compare("up.pre", pre, expected);
    compare("up.hidden", hidden, [&](int64_t r, int64_t f) {
        double gate = gate_of(activation, expected(r, f));
        return shape.gated ? gate * factor_of(activation, expected(r, shape.ffn + f)) : gate;
    }, activation_tolerance);
    auto first = hidden.bytes();
    LAUNCH(up, shape.type, grid + 2, args, seed + 1000);
    if (first != hidden.bytes()) report_mismatch("up: another schedule gives other bits");
}

void Layer::down() {
    MatrixBuffer hidden = filled(rows(), shape.ffn, shape.type);
    poison_rows(hidden, topology, poisoned);
    Weights w(topology, shape.hidden, shape.ffn, shape.type, random, shift);
    MatrixBuffer bias = filled(shape.experts, shape.hidden, any_type()), out = matrix(rows(), shape.hidden, any_type());
    bool with_bias = random.flip();
    DownArguments args{topology.plan(), hidden.argument(), w.data(), with_bias ? bias.argument() : none(), out.argument(),
                       shape.hidden, shape.ffn};
    LAUNCH(down, shape.type, grid, args, seed);
    compare("down.out", out, [&](int64_t r, int64_t h) {
        double sum = with_bias ? bias.get(topology.expert(r), h) : 0;
        for (int f = 0; f < shape.ffn; f++) sum += hidden.get(r, f) * w.get(topology.expert(r), h, f);
        return sum;
    });
}

void Layer::down_dgrad() {
    int64_t slots = topology.slots(), tiles = (shape.ffn + kTile - 1) / kTile;
    MatrixBuffer d_y = filled(shape.tokens, shape.hidden, shape.type);
    Weights w(topology, shape.hidden, shape.ffn, shape.type, random, shift);
    SlotWeights weights(topology, random);
    MatrixBuffer pre = filled(rows(), shape.pre(), any_type());
    poison_rows(pre, topology, poisoned);
    bool recompute = random.flip(), in_place = random.flip();
    MatrixBuffer hidden = recompute ? matrix(rows(), shape.ffn, any_type()) : filled(rows(), shape.ffn, any_type());
    MatrixBuffer d_pre = matrix(rows(), shape.pre(), pre.type);
    std::vector<double> old_pre;
    for (int64_t r = 0; r < rows(); r++) {
        for (int64_t p = 0; p < shape.pre(); p++) old_pre.push_back(pre.get(r, p));
    }
    auto pre_at = [&](int64_t r, int64_t p) { return old_pre[static_cast<size_t>(r * shape.pre() + p)]; };
    MatrixBuffer bias = filled(shape.experts, shape.hidden, any_type()), result(1, slots, kF32);
    Buffer<float> partial(tiles * slots);
    bool with_dot = random.below(3) > 0, with_bias = random.flip();
    DownDgradArguments args{topology.plan(), d_y.argument(), weights.argument(), w.data(), pre.argument(), hidden.argument(),
                            in_place ? pre.argument() : d_pre.argument(), with_dot ? partial.data() : nullptr, activation,
                            shape.hidden, shape.ffn, shape.gated, recompute};
    LAUNCH(down_dgrad, shape.type, grid, args, seed);

    auto g = [&](int64_t r, int64_t f) {
        double sum = 0;
        for (int h = 0; h < shape.hidden; h++) sum += d_y.get(topology.token(r), h) * w.get(topology.expert(r), h, f);
        return sum;
    };
    auto factor = [&](int64_t r, int64_t f) { return shape.gated ? factor_of(activation, pre_at(r, shape.ffn + f)) : 1; };
    if (recompute) {
        compare("down_dgrad.hidden", hidden, [&](int64_t r, int64_t f) {
            return gate_of(activation, pre_at(r, f)) * factor(r, f);
        }, activation_tolerance);
    }
    compare("down_dgrad.d_pre", in_place ? pre : d_pre, [&](int64_t r, int64_t p) {
        int64_t f = p % shape.ffn;
        double d_hidden = g(r, f) * weights.get(topology.slot(r));
        if (p < shape.ffn) return d_hidden * gate_slope_of(activation, pre_at(r, f)) * factor(r, f);
        return d_hidden * factor_slope_of(activation, pre_at(r, p)) * gate_of(activation, pre_at(r, f));
    }, [](double y) { return 2e-5 * std::fabs(y) + 1e-5; });
    if (!with_dot) return;

    SlotDotArguments dot{topology.plan(), partial.data(), tiles, with_bias ? d_y.argument() : none(), bias.argument(), shape.hidden,
                         1, reinterpret_cast<float *>(result.buffer.data())};
    emulator::launch(dropless_slot_dot, grid, kThreads, 0, dot, seed);
    compare("slot_dot.by_expert", result, [&](int64_t, int64_t slot) {
        int r = topology.row_of_slot[static_cast<size_t>(slot)];
        double sum = 0;
        for (int f = 0; f < shape.ffn && r >= 0; f++) sum += hidden.get(r, f) * g(r, f);
        for (int h = 0; h < shape.hidden && r >= 0 && with_bias; h++) {
            sum += d_y.get(topology.token(r), h) * bias.get(topology.expert(r), h);
        }
        return sum;
    }, [](double y) { return 1e-5 * std::fabs(y) + 2e-4; });
}

void Layer::up_dgrad() {
    MatrixBuffer d_pre = filled(rows(), shape.pre(), shape.type), d_rows = matrix(rows(), shape.hidden, any_type());
    poison_rows(d_pre, topology, poisoned);
    Weights w(topology, shape.pre(), shape.hidden, shape.type, random, shift);
    UpDgradArguments args{topology.plan(), d_pre.argument(), w.data(), d_rows.argument(), shape.hidden, shape.pre()};
    LAUNCH(up_dgrad, shape.type, grid, args, seed);
    compare("up_dgrad.d_rows", d_rows, [&](int64_t r, int64_t h) {
        double sum = 0;
        for (int p = 0; p < shape.pre(); p++) sum += d_pre.get(r, p) * w.get(topology.expert(r), p, h);
        return sum;
    });
}

void Layer::combine() {
    MatrixBuffer out = filled(rows(), shape.hidden, any_type()), y = filled(shape.tokens, shape.hidden, any_type());
    SlotWeights w(topology, random);
    bool accumulate = random.flip();
    std::vector<double> old;
    for (int64_t t = 0; t < shape.tokens; t++) {
        for (int64_t h = 0; h < shape.hidden; h++) old.push_back(accumulate ? y.get(t, h) : 0);
    }
    if (!accumulate) y.fill([] { return NAN; });
    CombineArguments args{topology.plan(), out.argument(), w.argument(), y.argument(), shape.hidden, accumulate};
    emulator::launch(dropless_combine, grid, kThreads, 0, args, seed);
    compare("combine.y", y, [&](int64_t t, int64_t h) {
        double sum = old[static_cast<size_t>(t * shape.hidden + h)];
        for (int64_t slot = t * shape.top_k; slot < (t + 1) * shape.top_k; slot++) {
            int r = topology.row_of_slot[static_cast<size_t>(slot)];
            if (r >= 0) sum += w.get(static_cast<int>(slot)) * out.get(r, h);
        }
        return sum;
    });
    MatrixBuffer x = filled(shape.tokens, shape.hidden, any_type()), result(1, topology.slots(), kF32);
    SlotDotArguments dot{topology.plan(), nullptr, 0, x.argument(), out.argument(), shape.hidden, 0,
                         reinterpret_cast<float *>(result.buffer.data())};
    emulator::launch(dropless_slot_dot, grid, kThreads, 0, dot, seed);
    compare("slot_dot.by_row", result, [&](int64_t, int64_t slot) {
        int r = topology.row_of_slot[static_cast<size_t>(slot)];
        double sum = 0;
        for (int h = 0; h < shape.hidden && r >= 0; h++) sum += x.get(topology.token(r), h) * out.get(r, h);
        return sum;
    });
}

int main(int argc, char **argv) {
    return run_seeds(argc, argv, kTypedSeeds, [](uint64_t seed) {
        Layer layer(seed);
        layer.up();
        layer.down();
        layer.down_dgrad();
        layer.up_dgrad();
        layer.combine();
    });
}
