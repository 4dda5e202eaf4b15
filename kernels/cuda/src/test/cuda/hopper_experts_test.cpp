// Emulated test of hopper_experts.cu: the forward products of the experts against sums in double.
#include "hopper_experts.cu"
#include "activation_case.h"
#include "hopper_expert_case.h"

using namespace dropless;
using namespace test;

struct Layer : HopperLayer {
    Activation activation;
    Grid grid;

    explicit Layer(uint64_t s) : HopperLayer(s), activation(random_activation(random)), grid(random) {}

    // Rows beyond the last are there, as where the host knows only a bound of their number; nothing may write them.
    int spare() { return 16 * random.below(2); }

    template <class Engine, class Kernel, class Arguments>
    void launch(Kernel kernel, const Arguments &args, const Grid &on, uint64_t schedule) {
        launch_hopper(kernel, on, sizeof(HopperShared<Engine>), args, schedule);
    }

    void up();
    template <class Engine, class Kernel> void down(const char *name, Kernel kernel);
};

void Layer::up() {
    MatrixBuffer x = filled(shape.tokens, shape.hidden, shape.type);
    Weights w(topology, shape.pre(), shape.hidden, shape.type, random);
    MatrixBuffer bias = filled(shape.experts, shape.pre(), random.of({kF32, kBf16, kF16}));
    MatrixBuffer pre = matrix(rows(), shape.pre()), hidden = matrix(rows(), shape.ffn);
    SlotWeights v(topology, random);
    bool with_bias = random.flip(), with_pre = random.below(3) > 0;
    Maps maps;
    HopperUpArguments args{topology.plan(), x.argument(), v.argument(), maps.of(w.matrix, 128), with_bias ? bias.argument() : none(),
                           with_pre ? pre.argument() : none(), with_pre ? maps.of(pre, 64) : nullptr, hidden.argument(),
                           maps.of(hidden, 64), activation, shape.hidden, shape.ffn, group()};
    maps.make(seed);
    auto kernel = shape.gated ? HOPPER_KERNEL(up_gated, shape.type) : HOPPER_KERNEL(up_plain, shape.type);
    launch<ExpertEngine<bf16>>(kernel, args, grid, seed);
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
    launch<ExpertEngine<bf16>>(kernel, args, Grid(random), seed + 1000);
    if (first != hidden.bytes()) report_mismatch("up: another schedule gives other bits");
}

template <class Engine, class Kernel> void Layer::down(const char *name, Kernel kernel) {
    MatrixBuffer hidden = filled(rows(), shape.ffn, shape.type);
    poison_rows(hidden, topology, poisoned);
    Weights w(topology, shape.hidden, shape.ffn, shape.type, random);
    MatrixBuffer bias = filled(shape.experts, shape.hidden, random.of({kF32, kBf16, kF16}));
    MatrixBuffer out = matrix(rows() + spare(), shape.hidden);
    bool with_bias = random.flip();
    Maps maps;
    HopperDownArguments args{topology.plan(), maps.of(hidden, 64), maps.of(w.matrix, Engine::kColumns / 2),
                             with_bias ? bias.argument() : none(), out.argument(), maps.of(out, 64), shape.hidden, shape.ffn, group()};
    maps.make(seed);
    launch<Engine>(kernel, args, grid, seed);
    compare((std::string(name) + ".out").c_str(), out, [&](int64_t r, int64_t h) -> double {
        if (r >= rows()) return NAN;
        double sum = with_bias ? bias.get(topology.expert(r), h) : 0;
        for (int f = 0; f < shape.ffn; f++) sum += hidden.get(r, f) * w.get(topology.expert(r), h, f);
        return sum;
    });
}

int main(int argc, char **argv) {
    return run_seeds(argc, argv, kHopperSeeds, [](uint64_t seed) {
        Layer layer(seed);
        layer.up();
        layer.down<ExpertEngine<bf16>>("down", HOPPER_KERNEL(down, layer.shape.type));
        layer.down<ShortDownEngine<bf16>>("down_short", HOPPER_KERNEL(down_short, layer.shape.type));
    });
}
