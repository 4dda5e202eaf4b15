// Emulated test of hopper_wgrad.cu: gradients of the experts' weights against sums in double, and the order in which their tiles come.
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

using OrderEngine = LongWgradEngine<bf16>;

struct OrderArguments {
    Plan plan;
    int *order;
};

static void order_of_experts(const OrderArguments args) {
    ALIGNED_SHARED_MEMORY(HopperShared<OrderEngine>, shared);
    order_experts(args.plan, shared);
    if (threadIdx.x > 0) return;
    for (int n = 0; n < args.plan.num_experts; n++) args.order[n] = ordered_expert<OrderEngine>(args.plan, n);
}

// Experts with most rows first, of equals those with lower numbers; all in their own order where there are too many.
static void order(uint64_t seed) {
    Random random(seed);
    int most = OrderEngine::kOrderedExperts, experts = random.of({1, 2, 7, 64, 383, 385, most, most + 1});
    Buffer<int> offsets(experts + 1), found(experts);
    offsets[0] = 0;
    for (int e = 0; e < experts; e++) offsets[e + 1] = offsets[e] + random.of({0, 1, 1, 5, random.below(1000)});
    OrderArguments args{{offsets.data(), nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, experts, 1, 0}, found.data()};
    emulator::launch(order_of_experts, 1, kHopperThreads, sizeof(HopperShared<OrderEngine>), args, seed);
    std::vector<int> expected;
    for (int e = 0; e < experts; e++) expected.push_back(e);
    if (experts <= most) {
        std::stable_sort(expected.begin(), expected.end(), [&](int a, int b) {
            return offsets[a + 1] - offsets[a] > offsets[b + 1] - offsets[b];
        });
    }
    for (int n = 0; n < experts; n++) {
        if (found[n] != expected[static_cast<size_t>(n)]) report_mismatch("order of experts: place " + std::to_string(n));
    }
}

int main(int argc, char **argv) {
    return run_seeds(argc, argv, kHopperSeeds, [](uint64_t seed) {
        order(seed);
        HopperLayer layer(seed);
        for (bool up : {true, false}) {
            for (bool is_short : {true, false}) wgrad(layer, up, is_short);
        }
    });
}
