// Emulated test of hopper_decode.cu: the forward products of experts with few rows against sums in double.
#include "hopper_decode.cu"
#include "activation_case.h"
#include "hopper_expert_case.h"

using namespace dropless;
using namespace test;

struct Layer : HopperLayer {
    Activation activation;
    int tokens;  // that a tile takes

    explicit Layer(uint64_t s) : HopperLayer(s), activation(random_activation(random)), tokens(random.of({16, 64})) {}

    template <class Narrow, class Wide, class Arguments>
    void launch(Narrow narrow, Wide wide, const Arguments &args, uint64_t schedule) {
        Grid grid(random);
        grid.cluster = 1;
        if (tokens == 16) {
            launch_hopper(narrow, grid, sizeof(HopperShared<DecodeEngine<bf16, 16>>), args, schedule);
        } else {
            launch_hopper(wide, grid, sizeof(HopperShared<DecodeEngine<bf16, 64>>), args, schedule);
        }
    }

    void up();
    void down();
};

void Layer::up() {
    MatrixBuffer x = filled(shape.tokens, shape.hidden);
    Weights w(topology, shape.pre(), shape.hidden, shape.type, random);
    MatrixBuffer bias = filled(shape.experts, shape.pre(), random.of({kF32, kBf16, kF16}));
    MatrixBuffer pre = matrix(rows(), shape.pre()), hidden = matrix(rows(), shape.ffn);
    SlotWeights v(topology, random);
    bool with_bias = random.flip(), with_pre = random.below(3) > 0;
    TensorMap weights = map_of(w.matrix, 128);
    HopperDecodeUpArguments args{topology.plan(), x.argument(), v.argument(), &weights, with_bias ? bias.argument() : none(),
                                 with_pre ? pre.argument() : none(), hidden.argument(), activation, shape.hidden, shape.ffn,
                                 shape.gated};
    auto run = [&](uint64_t schedule) {
        launch(HOPPER_KERNEL(decode_up_16, shape.type), HOPPER_KERNEL(decode_up_64, shape.type), args, schedule);
    };
    run(seed);
    auto expected = [&](int64_t r, int64_t p) {
        double sum = 0;
        int e = topology.expert(r);
        for (int h = 0; h < shape.hidden; h++) sum += x.get(topology.token(r), h) * w.get(e, p, h);
        return sum * v.get(topology.slot(r)) + (with_bias ? bias.get(e, p) : 0);
    };
    if (with_pre) compare("decode_up.pre", pre, expected);
    compare("decode_up.hidden", hidden, [&](int64_t r, int64_t f) {
        double gate = gate_of(activation, expected(r, f));
        return shape.gated ? gate * factor_of(activation, expected(r, shape.ffn + f)) : gate;
    }, activation_tolerance);
    auto first = hidden.bytes();
    run(seed + 1000);
    if (first != hidden.bytes()) report_mismatch("decode_up: another schedule gives other bits");
}

void Layer::down() {
    MatrixBuffer hidden = filled(rows(), shape.ffn);
    poison_rows(hidden, topology, poisoned);
    Weights w(topology, shape.hidden, shape.ffn, shape.type, random);
    MatrixBuffer bias = filled(shape.experts, shape.hidden, random.of({kF32, kBf16, kF16})), out = matrix(rows(), shape.hidden);
    bool with_bias = random.flip();
    TensorMap weights = map_of(w.matrix, 128);
    HopperDecodeDownArguments args{topology.plan(), hidden.argument(), &weights, with_bias ? bias.argument() : none(),
                                   out.argument(), shape.hidden, shape.ffn};
    launch(HOPPER_KERNEL(decode_down_16, shape.type), HOPPER_KERNEL(decode_down_64, shape.type), args, seed);
    compare("decode_down.out", out, [&](int64_t r, int64_t h) {
        double sum = with_bias ? bias.get(topology.expert(r), h) : 0;
        for (int f = 0; f < shape.ffn; f++) sum += hidden.get(r, f) * w.get(topology.expert(r), h, f);
        return sum;
    });
}

int main(int argc, char **argv) {
    return run_seeds(argc, argv, 2 * kHopperSeeds, [](uint64_t seed) {
        Layer layer(seed);
        layer.up();
        layer.down();
    });
}
