// Experts by their rows, most first: where a tile's sum runs over an expert's rows, long tiles come first then, and what the last blocks still compute is
// short. Every block puts them in order for itself, so that nothing has to be made before the launch.
#pragma once

#include "hopper_engine.cuh"

namespace dropless {

// All threads of a block; it takes a compare for each pair of experts. With more experts than there is room for they keep their own order: there are many
// tiles then.
template <class Engine> __device__ __forceinline__ void order_experts(const Plan &plan, HopperShared<Engine> &shared) {
    int count = static_cast<int>(plan.num_experts), thread = static_cast<int>(threadIdx.x);
    if (count > Engine::kOrderedExperts) return;
    int *rows = reinterpret_cast<int *>(shared.staging.box[0][0]);
    for (int e = thread; e < count; e += kHopperThreads) rows[e] = plan.offsets[e + 1] - plan.offsets[e];
    __syncthreads();
    for (int e = thread; e < count; e += kHopperThreads) {
        int own = rows[e], before = 0;
        for (int other = 0; other < count; other++) {
            int theirs = rows[other];
            before += theirs > own || (theirs == own && other < e && !planted(Fault::kTiedOrder));
        }
        shared.order.expert[before] = static_cast<uint16_t>(e);
    }
    __syncthreads();
}

// The n-th of them.
template <class Engine> __device__ __forceinline__ int ordered_expert(const Plan &plan, int n) {
    ALIGNED_SHARED_MEMORY(HopperShared<Engine>, shared);
    return plan.num_experts > Engine::kOrderedExperts ? n : shared.order.expert[n];
}

}  // namespace dropless
