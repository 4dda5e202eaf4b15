// Emulated test of hopper_dense.cu: dense products against sums in double, with ragged edges.
#include "hopper_dense.cu"
#include "hopper_case.h"

using namespace dropless;
using namespace test;

static void matmul(uint64_t seed) {
    Random random(seed);
    int64_t type = hopper_type_of_seed(seed);
    int64_t rows = random.of({1, 63, 64, 128, 130, 200, 256, 300}), columns = random.of({8, 64, 136, 256, 264, 320});
    int64_t depth = random.of({8, 64, 72, 128, 192, 320});
    auto gap = [&] { return 8 * random.below(2); };
    MatrixBuffer a(rows, depth, type, gap()), b(columns, depth, type, gap()), c(rows, columns, type, gap());
    a.fill([&] { return random.eighth(); });
    b.fill([&] { return random.eighth(); });
    Maps maps;
    HopperMatmulArguments args{maps.of(a, 128), maps.of(b, 128), maps.of(c, 64), c.argument(), rows, columns, depth, random.of({1, 2, 8})};
    using Engine = HopperEngine<bf16, Layout::kDepthMajor, Layout::kDepthMajor>;
    maps.make(seed);
    launch_hopper(HOPPER_KERNEL(matmul_nt, type), Grid(random), sizeof(HopperShared<Engine>), args, seed);
    compare("matmul_nt", c, [&](int64_t i, int64_t j) {
        double sum = 0;
        for (int64_t k = 0; k < depth; k++) sum += a.get(i, k) * b.get(j, k);
        return sum;
    });
}

int main(int argc, char **argv) { return run_seeds(argc, argv, kHopperSeeds, matmul); }
