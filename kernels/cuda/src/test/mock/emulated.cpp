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
#include "router.cu"
#include "topology.cu"
#include "weight_gradients.cu"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>

namespace {

using Launch = void (*)(void *kernel, unsigned grid, unsigned threads, size_t shared, void *argument, uint64_t seed);

struct Kernel {
    void *function;
    Launch launch;
};

template <class Arguments> Kernel kernel(void (*function)(Arguments)) {
    return {reinterpret_cast<void *>(function), [](void *k, unsigned grid, unsigned threads, size_t shared, void *a, uint64_t seed) {
                emulator::launch(reinterpret_cast<void (*)(Arguments)>(k), grid, threads, shared, *static_cast<Arguments *>(a), seed);
            }};
}

#define ONE(name) {#name, kernel(name)}
#define TYPES(name) ONE(name##_f32), ONE(name##_bf16), ONE(name##_f16)

const std::map<std::string, Kernel> kernels = {
    TYPES(dropless_up), TYPES(dropless_down), TYPES(dropless_down_dgrad), TYPES(dropless_up_dgrad),
    TYPES(dropless_up_wgrad), TYPES(dropless_down_wgrad), ONE(dropless_bias_grad), ONE(dropless_combine), ONE(dropless_slot_dot),
    ONE(dropless_activate), ONE(dropless_activate_backward), ONE(dropless_convert), TYPES(dropless_matmul_nn), TYPES(dropless_matmul_nt), TYPES(dropless_matmul_tn), TYPES(dropless_matmul_tt),
    ONE(dropless_block_multiply), ONE(dropless_blocks_to_dense), ONE(dropless_blocks_from_dense), ONE(dropless_fill_zero),
    ONE(dropless_router_forward), ONE(dropless_router_backward), ONE(dropless_topology_count), ONE(dropless_topology_scan),
    ONE(dropless_topology_place), ONE(dropless_tile_plan), ONE(dropless_fill), ONE(dropless_multiply), ONE(dropless_sigmoid_gate),
    ONE(dropless_sigmoid_gate_backward), ONE(dropless_identity_add), ONE(dropless_identity_dot),
};

std::mutex one_at_a_time;
uint64_t launches;

}  // namespace

extern "C" void emulated_launch(const char *name, const unsigned *grid, const unsigned *block, unsigned shared, void **parameters) {
    auto found = kernels.find(name);
    if (found == kernels.end()) {
        fprintf(stderr, "emulated.cpp: no kernel %s\n", name);
        abort();
    }
    std::lock_guard<std::mutex> guard(one_at_a_time);
    found->second.launch(found->second.function, grid[0], block[0], shared, parameters[0], launches++);
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
