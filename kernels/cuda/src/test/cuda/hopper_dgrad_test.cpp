// Emulated test of hopper_dgrad.cu: gradients of the experts' rows against sums in double.
#include "activation_case.h"
#include "combine.cu"
#include "hopper_expert_case.h"
#include "hopper_dgrad.cu"

using namespace dropless;
using namespace test;

static double backward_tolerance(double y) { return 2e-5 * std::fabs(y) + 1e-5; }

static void down_dgrad(HopperLayer &layer) {
    Random &random = layer.random;
    const Shape &shape = layer.shape;
    Topology &topology = layer.topology;
    Activation activation = random_activation(random);
    int64_t slots = topology.slots(), tiles = (shape.ffn + kTile - 1) / kTile;
    MatrixBuffer d_y = layer.tokens(shape.hidden), pre = layer.filled(layer.rows(), shape.pre());
    poison_rows(pre, topology, layer.poisoned);
    Weights w(topology, shape.hidden, shape.ffn, shape.type, random);
    SlotWeights weights(topology, random);
    bool recompute = random.flip(), in_place = random.flip(), with_dot = random.below(3) > 0;
    MatrixBuffer hidden = recompute ? layer.matrix(layer.rows(), shape.ffn) : layer.filled(layer.rows(), shape.ffn);
    MatrixBuffer d_pre = layer.matrix(layer.rows(), shape.pre()), result(1, slots, kF32);
    std::vector<double> old_pre;
    for (int64_t r = 0; r < layer.rows(); r++) {
        for (int64_t p = 0; p < shape.pre(); p++) old_pre.push_back(pre.get(r, p));
    }
    auto pre_at = [&](int64_t r, int64_t p) { return old_pre[static_cast<size_t>(r * shape.pre() + p)]; };
    Buffer<float> partial(tiles * slots);
    TensorMap map = map_of(w.matrix, kBoxColumns);
    HopperDownDgradArguments args{topology.plan(), d_y.argument(), weights.argument(), &map, pre.argument(), hidden.argument(),
                                  in_place ? pre.argument() : d_pre.argument(), with_dot ? partial.data() : nullptr, activation,
                                  shape.hidden, shape.ffn, shape.gated, recompute, layer.group()};
    using Engine = HopperDownDgradJob<bf16>::Engine;
    MatrixBuffer &found = in_place ? pre : d_pre;
    auto reset = [&] {
        for (int64_t i = 0; i < found.rows; i++) {
            for (int64_t j = 0; j < found.columns; j++) found.set(i, j, in_place ? pre_at(i, j) : NAN);
        }
    };
    auto bytes = [&] {
        std::vector<char> all = found.bytes(), more = hidden.bytes();
        all.insert(all.end(), more.begin(), more.end());
        auto *first = reinterpret_cast<char *>(partial.data());
        all.insert(all.end(), first, first + partial.size * 4);
        return all;
    };
    launch_twice("down_dgrad", HOPPER_KERNEL(down_dgrad, shape.type), layer, sizeof(HopperShared<Engine>), args, reset, bytes);

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
    compare("down_dgrad.d_pre", found, [&](int64_t r, int64_t p) {
        int64_t f = p % shape.ffn;
        double d_hidden = g(r, f) * weights.get(topology.slot(r));
        if (p < shape.ffn) return d_hidden * gate_slope_of(activation, pre_at(r, f)) * factor(r, f);
        return d_hidden * factor_slope_of(activation, pre_at(r, p)) * gate_of(activation, pre_at(r, f));
    }, backward_tolerance);
    if (!with_dot) return;
    partial.check("down_dgrad.partial");
    SlotDotArguments dot{topology.plan(), partial.data(), tiles, none(), none(), shape.hidden, 1,
                         reinterpret_cast<float *>(result.buffer.data())};
    emulator::launch(dropless_slot_dot, 1, kThreads, 0, dot, layer.seed);
    compare("down_dgrad.dot", result, [&](int64_t, int64_t slot) {
        int r = topology.row_of_slot[static_cast<size_t>(slot)];
        double sum = 0;
        for (int f = 0; f < shape.ffn && r >= 0; f++) sum += hidden.get(r, f) * g(r, f);
        return sum;
    }, [](double y) { return 1e-5 * std::fabs(y) + 2e-4; });
}

template <class Engine, class Kernel> static void up_dgrad(HopperLayer &layer, const std::string &name, Kernel kernel) {
    const Shape &shape = layer.shape;
    Topology &topology = layer.topology;
    MatrixBuffer d_pre = layer.filled(layer.rows(), shape.pre()), d_rows = layer.matrix(layer.rows(), shape.hidden);
    poison_rows(d_pre, topology, layer.poisoned);
    Weights w(topology, shape.pre(), shape.hidden, shape.type, layer.random);
    TensorMap a = map_of(d_pre, kBoxColumns), b = map_of(w.matrix, kBoxColumns), c = map_of(d_rows, kBoxColumns);
    HopperUpDgradArguments args{topology.plan(), &a, &b, d_rows.argument(), &c, shape.hidden, shape.pre(), layer.group()};
    launch_twice(name.c_str(), kernel, layer, sizeof(HopperShared<Engine>), args, [] {},
                 [&] { return d_rows.bytes(); });
    compare((name + ".d_rows").c_str(), d_rows, [&](int64_t r, int64_t h) {
        double sum = 0;
        for (int p = 0; p < shape.pre(); p++) sum += d_pre.get(r, p) * w.get(topology.expert(r), p, h);
        return sum;
    });
}

int main(int argc, char **argv) {
    return run_seeds(argc, argv, kHopperSeeds, [](uint64_t seed) {
        HopperLayer layer(seed);
        down_dgrad(layer);
        up_dgrad<UpDgradEngine<bf16>>(layer, "up_dgrad", HOPPER_KERNEL(up_dgrad, layer.shape.type));
        up_dgrad<ShortUpDgradEngine<bf16>>(layer, "up_dgrad_short", HOPPER_KERNEL(up_dgrad_short, layer.shape.type));
    });
}
