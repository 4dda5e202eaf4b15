// Softmax router: the k experts of each token and their weights.
//
//   router_topk     scores = softmax(logits); the k largest logits of a token, largest first, ties to the lower id, NaN as the
//                   largest; weights are their scores, divided by their sum where `normalize`. fp32; selection compares the
//                   logits themselves, so it does not depend on rounding.
//
// Launch: 256 threads, 8 * E * 4 bytes of dynamic shared memory, any grid; useful blocks are ceil(T / 8). k is at most E.
#include "matrix.cuh"

namespace dropless {

struct RouterArguments {
    Matrix logits;     // [T, E]
    int64_t tokens, num_experts, top_k, normalize;
    int *expert_ids;   // [T, k]
    float *weights;    // [T, k]
    float *scores;     // [T, E], or null
};

// A total order of floats as unsigned integers; all NaN are equal and largest.
__device__ __forceinline__ unsigned sort_key(float x) {
    if (x != x) return ~0u;
    unsigned bits;
    memcpy(&bits, &x, sizeof bits);
    if (x == 0.f) bits = 0;  // -0 equals 0
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, distance));
    return x;
}

__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(kAllLanes, x, distance);
    return x;
}

// One warp per token. Keys of its experts lie in shared memory; a chosen one is set to 0, which no logit has as key.
__device__ __forceinline__ void router_topk(const RouterArguments &args) {
    SHARED_MEMORY(unsigned, keys_of_block);
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
    int experts = static_cast<int>(args.num_experts), top_k = static_cast<int>(args.top_k);
    unsigned *keys = &keys_of_block + int64_t{warp} * experts;
    for (int64_t token = blockIdx.x * int64_t{warps} + warp; token < args.tokens; token += gridDim.x * int64_t{warps}) {
        int64_t first = token * args.logits.stride;
        float max = -INFINITY;
        for (int e = lane; e < experts; e += 32) {
            float logit = load_element(args.logits.data, args.logits.type, first + e);
            keys[e] = sort_key(logit);
            max = fmaxf(max, logit);
        }
        max = warp_max(max);
        float sum = 0.f;
        for (int e = lane; e < experts; e += 32) {
            sum += expf(load_element(args.logits.data, args.logits.type, first + e) - max);
        }
        sum = warp_sum(sum);
        if (args.scores != nullptr) {
            for (int e = lane; e < experts; e += 32) {
                float logit = load_element(args.logits.data, args.logits.type, first + e);
                args.scores[token * experts + e] = expf(logit - max) / sum;
            }
        }
        __syncwarp();
        float chosen_sum = 0.f;
        for (int j = 0; j < top_k; j++) {
            int best = -1;
            unsigned best_key = 0;
            for (int e = lane; e < experts; e += 32) {
                if (keys[e] > best_key) {
                    best = e;
                    best_key = keys[e];
                }
            }
#pragma unroll
            for (int distance = 16; distance > 0; distance /= 2) {
                unsigned key = __shfl_xor_sync(kAllLanes, best_key, distance);
                int other = __shfl_xor_sync(kAllLanes, best, distance);
                if (key > best_key || (key == best_key && static_cast<unsigned>(other) < static_cast<unsigned>(best))) {
                    best = other;
                    best_key = key;
                }
            }
            float weight = expf(load_element(args.logits.data, args.logits.type, first + best) - max) / sum;
            chosen_sum += weight;
            if (lane == 0) {
                args.expert_ids[token * top_k + j] = best;
                args.weights[token * top_k + j] = weight;
                keys[best] = 0;
            }
            __syncwarp();
        }
        if (args.normalize) {
            __syncwarp();
            for (int j = lane; j < top_k; j += 32) args.weights[token * top_k + j] /= chosen_sum;
        }
        __syncwarp();  // before the keys of the next token
    }
}

}  // namespace dropless

extern "C" __global__ void __launch_bounds__(256, 1) dropless_router_topk(const __grid_constant__ dropless::RouterArguments args) {
    dropless::router_topk(args);
}
