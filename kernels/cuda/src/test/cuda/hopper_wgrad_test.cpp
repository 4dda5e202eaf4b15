// Emulated test of hopper_wgrad.cu: gradients of the experts' weights against sums in double.
#include "hopper_expert_case.h"
#include "hopper_wgrad.cu"

using namespace dropless;
using namespace test;

// up: dPre [N, P] against x, result [E, P, H]. down: hidden [N, F] against dY, result [E, H, F].
static void wgrad(HopperLayer &layer, bool up, bool is_short) {
    Random &random = layer.random;
    const Shape &shape = layer.shape;
    const Topology &topology = layer.topology;
    int64_t hidden = shape.hidden, wide = up ? shape.pre() : shape.ffn;
    bool accumulate = random.flip();
    MatrixBuffer tokens = layer.tokens(hidden), rows = layer.filled(layer.rows(), wide);
    poison_rows(rows, topology, layer.poisoned);
    SlotWeights scale(topology, random);
    int64_t result_rows = up ? wide : hidden, result_columns = up ? hidden : wide;
    MatrixBuffer g(shape.experts * result_rows, result_columns, random.of({kF32, kBf16, kF16}));
    std::vector<double> old;
    for (int64_t i = 0; i < g.rows * g.columns; i++) old.push_back(accumulate ? random.eighth() : 0);
    auto reset = [&] {
        for (int64_t i = 0; i < g.rows; i++) {
            for (int64_t j = 0; j < g.columns; j++) g.set(i, j, accumulate ? old[static_cast<size_t>(i * g.columns + j)] : NAN);
        }
    };
    reset();
    TensorMap map = map_of(rows, kBoxColumns);
    HopperWgradArguments args{layer.topology.plan(), &map, tokens.argument(), scale.argument(), g.buffer.data(), g.type,
                              hidden, wide, accumulate, layer.group()};
    size_t shared = sizeof(HopperShared<LongWgradEngine<bf16>>);
    static_assert(sizeof(HopperShared<LongWgradEngine<bf16>>) == sizeof(HopperShared<ShortWgradEngine<bf16>>));
    auto kernel = up ? is_short ? HOPPER_KERNEL(up_wgrad_short, shape.type) : HOPPER_KERNEL(up_wgrad, shape.type)
                  : is_short ? HOPPER_KERNEL(down_wgrad_short, shape.type)
                             : HOPPER_KERNEL(down_wgrad, shape.type);
    launch_twice(up ? "up_wgrad" : "down_wgrad", kernel, layer, shared, args, reset, [&] { return g.bytes(); });
    compare(up ? "up_wgrad" : "down_wgrad", g, [&](int64_t i, int64_t j) {
        int64_t e = i / result_rows, row = i % result_rows;
        double sum = old[static_cast<size_t>(i * result_columns + j)];
        for (int r = topology.first(e); r < topology.last(e); r++) {
            double token = tokens.get(topology.token(r), up ? j : row);
            sum += scale.get(topology.slot(r)) * token * rows.get(r, up ? row : j);
        }
        return sum;
    });
}

int main(int argc, char **argv) {
    return run_seeds(argc, argv, kHopperSeeds, [](uint64_t seed) {
        HopperLayer layer(seed);
        for (bool up : {true, false}) {
            for (bool is_short : {true, false}) wgrad(layer, up, is_short);
        }
    });
}
