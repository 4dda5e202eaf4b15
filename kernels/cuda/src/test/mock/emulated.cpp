// The kernels of src/main/cuda behind one function that launches them by name, for the mock of libcuda.so.1: with it the whole host side
// computes on a CPU, with the kernels' own source.
//
// Build: g++ -std=c++20 -shared -fPIC -O2 -DDROPLESS_EMULATOR -I../../main/cuda -I../cuda -o libemulated.so emulated.cpp
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

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>

namespace {

using Launch = void (*)(void *kernel, unsigned grid, unsigned cluster, unsigned threads, size_t shared, void *argument, uint64_t seed);

struct Kernel {
    void *function;
    Launch launch;
};

template <class Arguments> Kernel kernel(void (*function)(Arguments)) {
    return {reinterpret_cast<void *>(function), [](void *k, unsigned grid, unsigned cluster, unsigned threads, size_t shared, void *a, uint64_t seed) {
                emulator::launch_clusters(
                    reinterpret_cast<void (*)(Arguments)>(k), grid, cluster, threads, shared, *static_cast<Arguments *>(a), seed);
            }};
}

#define ONE(name) {#name, kernel(name)}
#define HALVES(name) ONE(dropless_hopper_##name##_bf16), ONE(dropless_hopper_##name##_f16)
#define TYPES(name) ONE(name##_f32), ONE(name##_bf16), ONE(name##_f16)

const std::map<std::string, Kernel> kernels = {
    TYPES(dropless_up), TYPES(dropless_down), TYPES(dropless_down_dgrad), TYPES(dropless_up_dgrad),
    TYPES(dropless_up_wgrad), TYPES(dropless_down_wgrad), ONE(dropless_bias_grad), ONE(dropless_combine), ONE(dropless_slot_dot),
    ONE(dropless_activate), ONE(dropless_activate_backward), ONE(dropless_convert), TYPES(dropless_matmul_nn), TYPES(dropless_matmul_nt), TYPES(dropless_matmul_tn), TYPES(dropless_matmul_tt),
    ONE(dropless_block_multiply), ONE(dropless_blocks_to_dense), ONE(dropless_blocks_from_dense), ONE(dropless_fill_zero),
    ONE(dropless_router_forward), ONE(dropless_router_backward), ONE(dropless_topology_count), ONE(dropless_topology_scan),
    ONE(dropless_topology_place), ONE(dropless_tile_plan), ONE(dropless_fill), ONE(dropless_multiply), ONE(dropless_sigmoid_gate),
    ONE(dropless_sigmoid_gate_backward), ONE(dropless_identity_add), ONE(dropless_identity_dot),
    ONE(dropless_tensor_maps), HALVES(matmul_nt), HALVES(up_gated), HALVES(up_plain), HALVES(down), HALVES(down_short), HALVES(decode_up_16), HALVES(decode_up_64),
    HALVES(decode_down_16), HALVES(decode_down_64), HALVES(down_dgrad), HALVES(up_dgrad), HALVES(up_dgrad_short), HALVES(up_wgrad), HALVES(down_wgrad),
    HALVES(up_wgrad_short), HALVES(down_wgrad_short), HALVES(blocks_nn), HALVES(blocks_nt), HALVES(blocks_tn), HALVES(blocks_tt),
};

// What only the Hopper kernels need of the machine costs time.
const emulator::Hooks hopper_hooks = emulator::hooks;

std::mutex one_at_a_time;
uint64_t launches;

}  // namespace

// grid[3] is the number of blocks of a cluster.
extern "C" void emulated_launch(const char *name, const unsigned *grid, const unsigned *block, unsigned shared, void **parameters) {
    auto found = kernels.find(name);
    if (found == kernels.end()) {
        fprintf(stderr, "emulated.cpp: no kernel %s\n", name);
        abort();
    }
    std::lock_guard<std::mutex> guard(one_at_a_time);
    bool hopper = found->first.find("hopper") != std::string::npos || found->first == "dropless_tensor_maps";
    emulator::hooks = hopper ? hopper_hooks : emulator::Hooks();
    found->second.launch(found->second.function, grid[0], grid[3], block[0], shared, parameters[0], launches++);
}
// Bytes of dynamic shared memory that kernels of a type need, to hold the host side's numbers against.
extern "C" long emulated_shared_bytes(int type) {
    using namespace dropless;
    switch (type) {
        case 0: return sizeof(TileShared<FloatUnits>);
        case 1: return sizeof(TileShared<TensorCore<bf16>>);
        case 2: return sizeof(TileShared<TensorCore<f16>>);
        default: return sizeof(BiasShared);
    }
}
