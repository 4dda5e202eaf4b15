// The router on the device: from logits to the k experts of each token and their weights, and the gradient of the logits.
//
//   gate    g = logit + bias; with a soft cap c > 0, c tanh(g / c)
//   score   s = softmax(g), sigmoid(g) or sqrt(softplus(g))
//   value   what experts are compared by: s, g, or s + selection bias; limited to the best groups of experts where there are groups
//   ids     the k largest values, largest first, ties to the lower id, NaN below every number
//   weight  scale * r / d; r: the score, softmax or sigmoid of the selected g, or 1 / k; d: 1, or max(norm of r + epsilon, floor)
//
//   router_forward   ids and weights
//   router_backward  dLogits (+)= the gradient of the weights taken back through rule, score and cap; nothing flows through selection
//
// Everything between loads and stores is double, so that ids equal those of a router that computes in double (dev.dropless.moe.router)
// unless two values differ by less than its rounding, and weights are rounded once.
//
// Launch: 128 threads, 64 * choices bytes of dynamic shared memory, any grid; useful blocks are ceil(T / 4). One warp per token.
// k is at most the experts of the groups that stay.
#include "matrix.cuh"

namespace dropless {

enum ScoreFunction : int64_t { kSoftmax, kSigmoid, kSqrtSoftplus };
enum SelectBy : int64_t { kByScore, kByLogits, kByScorePlusBias };
enum WeightSource : int64_t { kScore, kSoftmaxOfSelected, kSigmoidOfSelected, kEven };

constexpr int kRouterThreads = 128;

// The first words of both kernels' arguments.
struct RouterRule {
    Matrix logits;           // [T, choices]
    Matrix logit_bias;       // [1, choices], or null
    Matrix selection_bias;   // [1, choices], or null
    int64_t tokens, choices, top_k;
    int64_t num_experts;     // choices from here on are identity experts, which have no rows
    int64_t score;           // ScoreFunction
    int64_t by;              // SelectBy
    int64_t num_groups;      // 0: no groups
    int64_t top_groups;
    int64_t sum_of_two;      // groups are compared by the sum of their two best values, else by the best
    int64_t source;          // WeightSource
    int64_t norm;            // 0: no divisor; 1: sum of |r|; 2: square root of the sum of squares
    double epsilon, floor, scale, soft_cap;
};

struct RouterForwardArguments {
    RouterRule rule;
    int *choice_ids;  // [T, k]
    int *expert_ids;  // [T, k] the same with -1 for identity experts
    float *weights;   // [T, k]
};

struct RouterBackwardArguments {
    RouterRule rule;
    const int *choice_ids;     // [T, k]
    const float *d_weights;    // [T, k]
    const float *more_weights; // [T, k] added to it, or null
    Matrix d_logits;           // [T, choices]
    int64_t accumulate;
};

__device__ __forceinline__ double warp_max(double x) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) x = fmax(x, __shfl_xor_sync(kAllLanes, x, distance));
    return x;
}

__device__ __forceinline__ double warp_sum(double x) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(kAllLanes, x, distance);
    return x;
}

// A total order of doubles as integers above 0: NaN, then ascending numbers; -0 equals 0.
__device__ __forceinline__ uint64_t sort_key(double x) {
    if (x != x) return 1;
    if (x == 0) x = 0;
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    constexpr uint64_t sign = uint64_t{1} << 63;
    if (x == 0) return sign;
    return bits & sign ? ~bits : bits | sign;
}

__device__ __forceinline__ double value_of(uint64_t key) {
    constexpr uint64_t sign = uint64_t{1} << 63;
    uint64_t bits = key == 1 ? ~uint64_t{0} : key & sign ? key ^ sign : ~key;
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

__device__ __forceinline__ double sigmoid(double x) {
    double e = exp(-fabs(x));
    return (x >= 0 ? 1 : e) / (1 + e);
}

// One token's logits, gate and scores, computed where they are needed.
struct RoutedToken {
    const RouterRule &rule;
    int64_t token;
    int lane = threadIdx.x % 32;
    int choices = static_cast<int>(rule.choices), top_k = static_cast<int>(rule.top_k);
    double max = 0, sum = 1;  // of the softmax over all choices

    __device__ RoutedToken(const RouterRule &r, int64_t t) : rule(r), token(t) {
        if (rule.score != kSoftmax) return;
        double most = -INFINITY, total = 0;
        for (int e = lane; e < choices; e += 32) most = fmax(most, gate(e));
        max = warp_max(most);
        for (int e = lane; e < choices; e += 32) total += exp(gate(e) - max);
        sum = warp_sum(total);
    }

    __device__ double logit(int e) const {
        double z = load_element(rule.logits.data, rule.logits.type, token * rule.logits.stride + e);
        return rule.logit_bias.data == nullptr ? z : z + load_element(rule.logit_bias.data, rule.logit_bias.type, e);
    }
    __device__ double gate(int e) const {
        double z = logit(e);
        return rule.soft_cap > 0 ? rule.soft_cap * tanh(z / rule.soft_cap) : z;
    }
    __device__ double score(double g) const {
        switch (rule.score) {
            case kSigmoid: return sigmoid(g);
            case kSqrtSoftplus: return sqrt(fmax(g, 0.) + log1p(exp(-fabs(g))));
            default: return exp(g - max) / sum;
        }
    }
    __device__ double value(int e) const {
        double g = gate(e);
        if (rule.by == kByLogits) return g;
        double s = score(g);
        if (rule.by == kByScore) return s;
        return s + load_element(rule.selection_bias.data, rule.selection_bias.type, e);
    }
};

// The weights of a token's k selected choices before scaling, and their divisor.
struct SelectedChoices {
    const RoutedToken &token;
    const int *ids;  // [k]
    double max = 0, sum = 1, norm = 0, divisor = 1;

    __device__ SelectedChoices(const RoutedToken &t, const int *i) : token(t), ids(i) {
        if (token.rule.source == kSoftmaxOfSelected) {
            double most = -INFINITY, total = 0;
            for (int j = token.lane; j < token.top_k; j += 32) most = fmax(most, token.gate(ids[j]));
            max = warp_max(most);
            for (int j = token.lane; j < token.top_k; j += 32) total += exp(token.gate(ids[j]) - max);
            sum = warp_sum(total);
        }
        if (token.rule.norm == 0) return;
        double total = 0;
        for (int j = token.lane; j < token.top_k; j += 32) {
            double r = raw(j);
            total += token.rule.norm == 1 ? fabs(r) : r * r;
        }
        total = warp_sum(total);
        norm = token.rule.norm == 1 ? total : sqrt(total);
        divisor = fmax(norm + token.rule.epsilon, token.rule.floor);
    }

    __device__ double raw(int j) const {
        if (token.rule.source == kEven) return 1. / token.top_k;
        double g = token.gate(ids[j]);
        switch (token.rule.source) {
            case kSoftmaxOfSelected: return exp(g - max) / sum;
            case kSigmoidOfSelected: return sigmoid(g);
            default: return token.score(g);
        }
    }
};

// Takes the experts of all but the best groups out of the choice: their keys become 0. `kept` has a place for each group.
__device__ __forceinline__ void limit_groups(const RouterRule &rule, uint64_t *keys, uint64_t *kept) {
    int lane = threadIdx.x % 32;
    int groups = static_cast<int>(rule.num_groups), choices = static_cast<int>(rule.choices), size = choices / groups;
    for (int group = lane; group < groups; group += 32) {
        double first = -INFINITY, second = -INFINITY;
        for (int e = group * size; e < (group + 1) * size; e++) {
            double v = value_of(keys[e]);
            if (v > first) {
                second = first;
                first = v;
            } else if (v > second) {
                second = v;
            }
        }
        kept[group] = sort_key(rule.sum_of_two ? first + second : first);
    }
    __syncwarp();
    for (int e = lane; e < choices; e += 32) {
        int group = e / size, better = 0;
        for (int other = 0; other < groups; other++) {
            better += kept[other] > kept[group] || (kept[other] == kept[group] && other < group);
        }
        if (better >= rule.top_groups) keys[e] = 0;
    }
    __syncwarp();
}

// The largest key of all lanes' experts and the lowest expert that has it.
__device__ __forceinline__ int best_expert(const uint64_t *keys, int choices) {
    int best = 0;
    uint64_t best_key = 0;
    for (int e = threadIdx.x % 32; e < choices; e += 32) {
        if (keys[e] > best_key) {
            best = e;
            best_key = keys[e];
        }
    }
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
        uint64_t key = __shfl_xor_sync(kAllLanes, best_key, distance);
        int other = __shfl_xor_sync(kAllLanes, best, distance);
        if (key > best_key || (key == best_key && other < best)) {
            best = other;
            best_key = key;
        }
    }
    return best;
}

// Keys of a token's experts lie in shared memory; that of a chosen one becomes 0.
__device__ __forceinline__ void router_forward(const RouterForwardArguments &args) {
    SHARED_MEMORY(uint64_t, first_key);
    const RouterRule &rule = args.rule;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
    int choices = static_cast<int>(rule.choices), top_k = static_cast<int>(rule.top_k);
    uint64_t *keys = &first_key + int64_t{warp} * 2 * choices;
    for (int64_t t = blockIdx.x * int64_t{warps} + warp; t < rule.tokens; t += gridDim.x * int64_t{warps}) {
        RoutedToken token(rule, t);
        for (int e = lane; e < choices; e += 32) keys[e] = sort_key(token.value(e));
        __syncwarp();
        if (rule.num_groups > 0) limit_groups(rule, keys, keys + choices);
        int *ids = args.choice_ids + t * top_k;
        for (int j = 0; j < top_k; j++) {
            int best = best_expert(keys, choices);
            __syncwarp();
            if (lane == 0) {
                ids[j] = best;
                args.expert_ids[t * top_k + j] = best < rule.num_experts ? best : -1;
                keys[best] = 0;
            }
            __syncwarp();
        }
        SelectedChoices selected(token, ids);
        for (int j = lane; j < top_k; j += 32) {
            args.weights[t * top_k + j] = static_cast<float>(rule.scale * (selected.raw(j) / selected.divisor));
        }
        __syncwarp();  // before the keys of the next token
    }
}

// A warp per token. First the gradient of what the weights were made of lies in shared memory, [choices]: of scores, or of the gate.
__device__ __forceinline__ void router_backward(const RouterBackwardArguments &args) {
    SHARED_MEMORY(double, first_gradient);
    const RouterRule &rule = args.rule;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
    int choices = static_cast<int>(rule.choices), top_k = static_cast<int>(rule.top_k);
    double *gradient = &first_gradient + int64_t{warp} * 2 * choices;
    for (int64_t t = blockIdx.x * int64_t{warps} + warp; t < rule.tokens; t += gridDim.x * int64_t{warps}) {
        RoutedToken token(rule, t);
        SelectedChoices selected(token, args.choice_ids + t * top_k);
        for (int e = lane; e < choices; e += 32) gradient[e] = 0;
        auto weight_gradient = [&](int j) {
            double d = args.d_weights[t * top_k + j];
            if (args.more_weights != nullptr) d += args.more_weights[t * top_k + j];
            return rule.scale * d / selected.divisor;
        };
        double d_divisor = 0;
        if (rule.norm != 0 && selected.norm + rule.epsilon >= rule.floor) {
            for (int j = lane; j < top_k; j += 32) d_divisor -= weight_gradient(j) * (selected.raw(j) / selected.divisor);
            d_divisor = warp_sum(d_divisor);
        }
        auto raw_gradient = [&](int j, double r) {
            double slope = r > 0 ? 1 : r < 0 ? -1 : 0;
            if (rule.norm == 2) slope = r != 0 ? r / selected.norm : 0;
            return weight_gradient(j) + (d_divisor != 0 ? d_divisor * slope : 0);
        };
        double mean = 0;
        if (rule.source == kSoftmaxOfSelected) {
            for (int j = lane; j < top_k; j += 32) {
                double r = selected.raw(j);
                mean += r * raw_gradient(j, r);
            }
            mean = warp_sum(mean);
        }
        __syncwarp();
        for (int j = lane; j < top_k; j += 32) {
            int id = selected.ids[j];
            double r = selected.raw(j), d = raw_gradient(j, r);
            switch (rule.source) {
                case kSoftmaxOfSelected: gradient[id] = r * (d - mean); break;
                case kSigmoidOfSelected: gradient[id] = d * r * sigmoid(-token.gate(id)); break;
                case kEven: break;
                default: gradient[id] = d;
            }
        }
        __syncwarp();
        mean = 0;
        if (rule.source == kScore && rule.score == kSoftmax) {
            for (int e = lane; e < choices; e += 32) mean += token.score(token.gate(e)) * gradient[e];
            mean = warp_sum(mean);
        }
        for (int e = lane; e < choices; e += 32) {
            double d = gradient[e], g = token.gate(e);
            if (rule.source == kScore) {
                double s = token.score(g);
                switch (rule.score) {
                    case kSigmoid: d *= s * sigmoid(-g); break;
                    case kSqrtSoftplus: d = s == 0 ? 0 : d * sigmoid(g) / (2 * s); break;
                    default: d = s * (d - mean);
                }
            }
            if (rule.soft_cap > 0) d *= 1 - g / rule.soft_cap * (g / rule.soft_cap);
            int64_t index = t * args.d_logits.stride + e;
            if (args.accumulate) d += load_element(args.d_logits.data, args.d_logits.type, index);
            store_element(args.d_logits.data, args.d_logits.type, index, static_cast<float>(d));
        }
        __syncwarp();  // before the gradients of the next token
    }
}

}  // namespace dropless

extern "C" __global__ void __launch_bounds__(dropless::kRouterThreads)
    dropless_router_forward(const __grid_constant__ dropless::RouterForwardArguments args) {
    dropless::router_forward(args);
}
extern "C" __global__ void __launch_bounds__(dropless::kRouterThreads)
    dropless_router_backward(const __grid_constant__ dropless::RouterBackwardArguments args) {
    dropless::router_backward(args);
}
