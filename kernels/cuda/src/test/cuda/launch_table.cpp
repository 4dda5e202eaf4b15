// Prints what a host must know to launch each kernel: threads, dynamic shared memory, size of the argument structure. Used by
// build-kernels.sh for the manifest. One line per kernel:
//   name family threads shared-bytes shared-bytes-per-expert argument-words
#include "activate.cu"
#include "block_sparse.cu"
#include "combine.cu"
#include "convert.cu"
#include "elementwise.cu"
#include "experts.cu"
#include "hopper_blocks.cu"
#include "hopper_decode.cu"
#include "hopper_dense.cu"
#include "hopper_dgrad.cu"
#include "hopper_experts.cu"
#include "hopper_maps.cu"
#include "hopper_wgrad.cu"
#include "router.cu"
#include "topology.cu"
#include "weight_gradients.cu"

#include <string>

using namespace dropless;

template <class Arguments>
static void print(const std::string &name, const char *family, int threads, size_t shared, size_t per_expert) {
    static_assert(sizeof(Arguments) % 8 == 0, "arguments are 64-bit words");
    printf("dropless_%s %s %d %zu %zu %zu\n", name.c_str(), family, threads, shared, per_expert, sizeof(Arguments) / 8);
}

// A tile kernel for each of the three types.
template <class Arguments> static void print_typed(const std::string &name, const char *family) {
    print<Arguments>(name + "_f32", family, kThreads, sizeof(TileShared<FloatUnits>), 0);
    print<Arguments>(name + "_bf16", family, kThreads, sizeof(TileShared<TensorCore<bf16>>), 0);
    print<Arguments>(name + "_f16", family, kThreads, sizeof(TileShared<TensorCore<f16>>), 0);
}

// A Hopper kernel for each of its two types.
template <class Arguments, class Engine> static void print_hopper(const std::string &name, const char *family) {
    print<Arguments>("hopper_" + name + "_bf16", family, kHopperThreads, sizeof(HopperShared<Engine>), 0);
    print<Arguments>("hopper_" + name + "_f16", family, kHopperThreads, sizeof(HopperShared<Engine>), 0);
}

int main() {
    size_t router_shared = kRouterThreads / 32 * 2 * sizeof(uint64_t);
    print<RouterForwardArguments>("router_forward", "router", kRouterThreads, 0, router_shared);
    print<RouterBackwardArguments>("router_backward", "router", kRouterThreads, 0, router_shared);
    print<TopologyArguments>("topology_count", "topology", 32, 0, sizeof(int));
    print<TopologyArguments>("topology_scan", "topology", kScanThreads, sizeof(ScanShared), 0);
    print<TopologyArguments>("topology_place", "topology", 32, 0, sizeof(int));
    print<TilePlanArguments>("tile_plan", "topology", kScanThreads, sizeof(TilePlanShared), sizeof(int));
    print<PatternArguments>("pattern_scan", "topology", kScanThreads, sizeof(ScanShared), 0);
    print<PatternArguments>("pattern_fill", "topology", 256, 0, 0);
    print_typed<UpArguments>("up", "experts");
    print_typed<DownArguments>("down", "experts");
    print_typed<DownDgradArguments>("down_dgrad", "experts");
    print_typed<UpDgradArguments>("up_dgrad", "experts");
    print_typed<WeightGradientArguments>("up_wgrad", "weight_gradients");
    print_typed<WeightGradientArguments>("down_wgrad", "weight_gradients");
    print<BiasGradientArguments>("bias_grad", "weight_gradients", kThreads, sizeof(BiasShared), 0);
    print<CombineArguments>("combine", "combine", kThreads, 0, 0);
    print<SlotDotArguments>("slot_dot", "combine", kThreads, 0, 0);
    print<ActivateArguments>("activate", "activate", kThreads, 0, 0);
    print<ActivateArguments>("activate_backward", "activate", kThreads, 0, 0);
    for (const char *transpositions : {"nn", "nt", "tn", "tt"}) {
        print_typed<MatmulArguments>(std::string("matmul_") + transpositions, "block_sparse");
    }
    print<BlockMultiplyArguments>("block_multiply", "block_sparse", kThreads, 0, 0);
    print<BlockCopyArguments>("blocks_to_dense", "block_sparse", kThreads, 0, 0);
    print<BlockCopyArguments>("blocks_from_dense", "block_sparse", kThreads, 0, 0);
    print<FillArguments>("fill_zero", "block_sparse", kThreads, 0, 0);
    print<ConvertArguments>("convert", "convert", 256, 0, 0);
    print<FillValueArguments>("fill", "elementwise", kElementThreads, 0, 0);
    print<MultiplyArguments>("multiply", "elementwise", kElementThreads, 0, 0);
    print<GateArguments>("sigmoid_gate", "elementwise", kElementThreads, 0, 0);
    print<GateArguments>("sigmoid_gate_backward", "elementwise", kElementThreads, 0, 0);
    print<IdentityAddArguments>("identity_add", "elementwise", kElementThreads, 0, 0);
    print<IdentityDotArguments>("identity_dot", "elementwise", kElementThreads, 0, 0);
    print<TensorMapsArguments>("tensor_maps", "hopper_maps", 32, sizeof(TensorMapsShared), 0);
    print_hopper<HopperMatmulArguments, HopperEngine<bf16, Layout::kDepthMajor, Layout::kDepthMajor>>("matmul_nt", "hopper_dense");
    print_hopper<HopperUpArguments, ExpertEngine<bf16>>("up_gated", "hopper_experts");
    print_hopper<HopperUpArguments, ExpertEngine<bf16>>("up_plain", "hopper_experts");
    print_hopper<HopperDownArguments, ExpertEngine<bf16>>("down", "hopper_experts");
    print_hopper<HopperDownArguments, ShortDownEngine<bf16>>("down_short", "hopper_experts");
    print_hopper<HopperDecodeUpArguments, DecodeEngine<bf16, 16>>("decode_up_16", "hopper_decode");
    print_hopper<HopperDecodeUpArguments, DecodeEngine<bf16, 64>>("decode_up_64", "hopper_decode");
    print_hopper<HopperDecodeDownArguments, DecodeEngine<bf16, 16>>("decode_down_16", "hopper_decode");
    print_hopper<HopperDecodeDownArguments, DecodeEngine<bf16, 64>>("decode_down_64", "hopper_decode");
    print_hopper<HopperDownDgradArguments, HopperDownDgradJob<bf16>::Engine>("down_dgrad", "hopper_dgrad");
    print_hopper<HopperUpDgradArguments, UpDgradEngine<bf16>>("up_dgrad", "hopper_dgrad");
    print_hopper<HopperUpDgradArguments, ShortUpDgradEngine<bf16>>("up_dgrad_short", "hopper_dgrad");
    for (const char *operation : {"up_wgrad", "down_wgrad"}) {
        print_hopper<HopperWgradArguments, LongWgradEngine<bf16>>(operation, "hopper_wgrad");
        print_hopper<HopperWgradArguments, ShortWgradEngine<bf16>>(std::string(operation) + "_short", "hopper_wgrad");
    }
    for (const char *transpositions : {"nn", "nt", "tn", "tt"}) {
        using Engine = BlocksEngine<bf16, Layout::kDepthMajor, Layout::kDepthMajor>;
        print_hopper<HopperBlocksArguments, Engine>(std::string("blocks_") + transpositions, "hopper_blocks");
    }
    return 0;
}
