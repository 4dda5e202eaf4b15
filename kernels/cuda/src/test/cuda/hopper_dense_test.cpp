// Emulated test of hopper_dense.cu: dense products against sums in double, with ragged edges.
#include "hopper_dense.cu"
#include "hopper_case.h"

using namespace dropless;
using namespace test;

static void matmul(uint64_t seed) {
    Random random(seed);
    int64_t type = seed % 2 == 0 ? kBf16 : kF16;
    int64_t rows = random.of({1, 63, 64, 128, 130, 200, 256, 300}), columns = random.of({8, 64, 136, 256, 264, 320});
    int64_t depth = random.of({8, 64, 72, 128, 192, 320});
    auto gap = [&] { return 8 * random.below(2); };
    MatrixBuffer a(rows, depth, type, gap()), b(columns, depth, type, gap()), c(rows, columns, type, gap());
    a.fill([&] { return random.eighth(); });
    b.fill([&] { return random.eighth(); });
    TensorMap a_map = map_of(a, 128), b_map = map_of(b, 128), c_map = map_of(c, 64);
    HopperMatmulArguments args{&a_map, &b_map, &c_map, c.argument(), rows, columns, depth, random.of({1, 2, 8})};
    using Engine = HopperEngine<bf16, Layout::kDepthMajor, Layout::kDepthMajor>;
    launch_hopper(type == kBf16 ? dropless_hopper_matmul_nt_bf16 : dropless_hopper_matmul_nt_f16, Grid(random),
                  sizeof(HopperShared<Engine>), args, seed);
    compare("matmul_nt", c, [&](int64_t i, int64_t j) {
        double sum = 0;
        for (int64_t k = 0; k < depth; k++) sum += a.get(i, k) * b.get(j, k);
        return sum;
    });
}

int main(int argc, char **argv) { return run_seeds(argc, argv, 40, matmul); }
