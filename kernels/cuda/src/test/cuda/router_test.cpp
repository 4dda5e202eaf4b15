// Emulated test of router.cu and elementwise.cu. Ids and weights are held against plain loops in double, the router's gradient against
// differences of the weights that those loops compute.
#include "elementwise.cu"
#include "router.cu"
#include "test_support.h"

#include <cmath>

using namespace dropless;
using namespace test;

namespace {

double plain_sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// A routing problem in double: what the kernels are told, and how a slow program would solve it.
struct Problem {
    RouterRule rule{};
    std::vector<double> bias, selection;  // empty: absent

    std::vector<double> gates(const std::vector<double> &logits) const {
        std::vector<double> g = logits;
        for (size_t e = 0; e < g.size(); e++) {
            if (!bias.empty()) g[e] += bias[e];
            if (rule.soft_cap > 0) g[e] = rule.soft_cap * std::tanh(g[e] / rule.soft_cap);
        }
        return g;
    }

    std::vector<double> scores(const std::vector<double> &g) const {
        std::vector<double> s(g.size());
        double max = *std::max_element(g.begin(), g.end()), sum = 0;
        for (double x : g) sum += std::exp(x - max);
        for (size_t e = 0; e < g.size(); e++) {
            s[e] = rule.score == kSoftmax ? std::exp(g[e] - max) / sum
                   : rule.score == kSigmoid ? plain_sigmoid(g[e])
                                            : std::sqrt(std::log1p(std::exp(g[e])));
        }
        return s;
    }

    // Position of the best values, ties to the lower.
    static std::vector<int> best(const std::vector<double> &values, const std::vector<int> &candidates, size_t count) {
        std::vector<int> order = candidates;
        std::stable_sort(order.begin(), order.end(),
                         [&](int a, int b) { return values[static_cast<size_t>(a)] > values[static_cast<size_t>(b)]; });
        order.resize(count);
        return order;
    }

    std::vector<int> choose(const std::vector<double> &logits) const {
        std::vector<double> g = gates(logits), v = rule.by == kByLogits ? g : scores(g);
        std::vector<int> candidates;
        for (size_t e = 0; e < v.size(); e++) {
            if (rule.by == kByScorePlusBias) v[e] += selection[e];
            candidates.push_back(static_cast<int>(e));
        }
        if (rule.num_groups > 0) {
            int size = static_cast<int>(rule.choices / rule.num_groups);
            std::vector<double> group_scores;
            std::vector<int> groups;
            for (int n = 0; n < rule.num_groups; n++) {
                std::vector<double> own(v.begin() + n * size, v.begin() + (n + 1) * size);
                std::sort(own.rbegin(), own.rend());
                group_scores.push_back(rule.sum_of_two ? own[0] + own[1] : own[0]);
                groups.push_back(n);
            }
            groups = best(group_scores, groups, static_cast<size_t>(rule.top_groups));
            candidates.erase(std::remove_if(candidates.begin(), candidates.end(),
                                            [&](int e) { return std::find(groups.begin(), groups.end(), e / size) == groups.end(); }),
                             candidates.end());
        }
        return best(v, candidates, static_cast<size_t>(rule.top_k));
    }

    std::vector<double> weights(const std::vector<double> &logits, const std::vector<int> &ids) const {
        std::vector<double> g = gates(logits), s = scores(g), r;
        double sum = 0, norm = 0;
        for (int id : ids) sum += std::exp(g[static_cast<size_t>(id)]);
        for (int id : ids) {
            double gate = g[static_cast<size_t>(id)];
            r.push_back(rule.source == kScore               ? s[static_cast<size_t>(id)]
                        : rule.source == kSoftmaxOfSelected ? std::exp(gate) / sum
                        : rule.source == kSigmoidOfSelected ? plain_sigmoid(gate)
                                                            : 1. / static_cast<double>(ids.size()));
            norm += rule.norm == 1 ? r.back() : r.back() * r.back();
        }
        if (rule.norm == 2) norm = std::sqrt(norm);
        double divisor = rule.norm == 0 ? 1 : std::max(norm + rule.epsilon, rule.floor);
        for (double &x : r) x *= rule.scale / divisor;
        return r;
    }
};

Problem random_problem(Random &random, int tokens, int experts) {
    Problem p;
    RouterRule &rule = p.rule;
    int identity = random.of({0, 0, 2});
    rule.tokens = tokens;
    rule.num_experts = experts;
    rule.choices = experts + identity;
    rule.score = random.below(3);
    rule.by = random.below(3);
    rule.source = random.below(4);
    rule.norm = random.below(3);
    rule.epsilon = random.of({0., 1e-20, 0.25});
    rule.floor = random.of({0., 0., 0.9});
    rule.scale = random.of({1., 2.5});
    rule.soft_cap = random.of({0., 0., 1.5});
    if (rule.choices % 4 == 0 && random.flip()) {
        rule.num_groups = rule.choices / 4;
        rule.top_groups = random.between(1, static_cast<int>(rule.num_groups));
        rule.sum_of_two = random.flip();
    }
    int candidates = static_cast<int>(rule.num_groups > 0 ? rule.top_groups * 4 : rule.choices);
    rule.top_k = std::min(random.of({1, 2, 8, candidates}), candidates);
    for (int e = 0; e < rule.choices; e++) {
        p.bias.push_back(random.eighth());
        p.selection.push_back(random.eighth());
    }
    if (random.flip()) p.bias.clear();
    if (rule.by != kByScorePlusBias) p.selection.clear();
    return p;
}

void set_row(MatrixBuffer &matrix, const std::vector<double> &values) {
    for (size_t e = 0; e < values.size(); e++) matrix.set(0, static_cast<int64_t>(e), values[e]);
}

float *floats(MatrixBuffer &matrix) { return reinterpret_cast<float *>(matrix.buffer.data()); }

void check_router(Random &random, uint64_t seed) {
    int tokens = random.of({0, 1, 7, 30});
    Problem p = random_problem(random, tokens, random.of({1, 3, 8, 62, 200}));
    int choices = static_cast<int>(p.rule.choices), k = static_cast<int>(p.rule.top_k);
    MatrixBuffer logits(tokens, choices, kF32, random.of({0, 3})), bias(1, choices, kF32), selection(1, choices, kF32);
    bool ties = random.flip();
    logits.fill([&] { return ties ? random.eighth() : random.uniform() * 6 - 3; });
    set_row(bias, p.bias);
    set_row(selection, p.selection);
    p.rule.logits = logits.argument();
    p.rule.logit_bias = p.bias.empty() ? none() : bias.argument();
    p.rule.selection_bias = p.selection.empty() ? none() : selection.argument();
    Buffer<int> choice_ids(int64_t{tokens} * k), expert_ids(int64_t{tokens} * k);
    MatrixBuffer weights(tokens, k, kF32), d_weights(tokens, k, kF32), more(tokens, k, kF32);
    auto grid = static_cast<unsigned>(random.between(1, 3));
    size_t shared = 64 * static_cast<size_t>(choices);
    RouterForwardArguments forward{p.rule, choice_ids.data(), expert_ids.data(), floats(weights)};
    emulator::launch(dropless_router_forward, grid, kRouterThreads, shared, forward, seed);

    std::vector<int> ids, expert;
    std::vector<double> expected;
    std::vector<std::vector<double>> rows;
    for (int t = 0; t < tokens; t++) {
        std::vector<double> row;
        for (int e = 0; e < choices; e++) row.push_back(logits.get(t, e));
        std::vector<int> own = p.choose(row);
        std::vector<double> w = p.weights(row, own);
        for (int id : own) expert.push_back(id < p.rule.num_experts ? id : -1);
        ids.insert(ids.end(), own.begin(), own.end());
        expected.insert(expected.end(), w.begin(), w.end());
        rows.push_back(row);
    }
    compare_integers("choice_ids", choice_ids, ids);
    compare_integers("expert_ids", expert_ids, expert);
    auto close_to = [](double y) { return 1e-12 * std::fabs(y) + 1e-12; };
    compare("weights", weights, [&](int64_t t, int64_t j) { return expected[static_cast<size_t>(t * k + j)]; }, close_to);
    if (mismatches > 0) return;

    d_weights.fill([&] { return random.eighth(); });
    more.fill([&] { return random.eighth(); });
    bool with_more = random.flip(), accumulate = random.flip();
    MatrixBuffer d_logits(tokens, choices, kF32, random.of({0, 5}));
    if (accumulate) d_logits.fill([] { return 0.5; });
    RouterBackwardArguments backward{p.rule, choice_ids.data(), floats(d_weights), with_more ? floats(more) : nullptr,
                                     d_logits.argument(), accumulate};
    emulator::launch(dropless_router_backward, grid, kRouterThreads, shared, backward, seed);
    compare(
        "d_logits", d_logits,
        [&](int64_t t, int64_t e) {
            std::vector<int> own(ids.begin() + t * k, ids.begin() + (t + 1) * k);
            double sum = accumulate ? 0.5 : 0, step = 1e-4;
            std::vector<double> row = rows[static_cast<size_t>(t)], high = row, low = row;
            high[static_cast<size_t>(e)] += step;
            low[static_cast<size_t>(e)] -= step;
            std::vector<double> above = p.weights(high, own), below = p.weights(low, own);
            for (int j = 0; j < k; j++) {
                double d = d_weights.get(t, j) + (with_more ? more.get(t, j) : 0);
                sum += d * (above[static_cast<size_t>(j)] - below[static_cast<size_t>(j)]) / (2 * step);
            }
            return sum;
        },
        [](double y) { return 1e-6 * (1 + std::fabs(y)); });
}

void check_elements(Random &random, uint64_t seed) {
    int tokens = random.of({0, 1, 5, 40}), columns = random.of({1, 7, 64}), k = random.of({1, 3}), experts = 4;
    int64_t type = random.of({kF32, kBf16, kF16});
    auto grid = static_cast<unsigned>(random.between(1, 3));
    double factor = random.of({1., 0.5});
    MatrixBuffer x(tokens, columns, type, random.of({0, 3})), dy(tokens, columns, type), y(tokens, columns, kF32, 2);
    auto next = [&] { return random.eighth(); };
    x.fill(next);
    dy.fill(next);
    bool add = random.flip();
    emulator::launch(dropless_fill, grid, kElementThreads, 0, FillValueArguments{y.argument(), tokens, columns, 0.75}, seed);
    compare("fill", y, [](int64_t, int64_t) { return 0.75; });
    emulator::launch(dropless_multiply, grid, kElementThreads, 0,
                     MultiplyArguments{x.argument(), dy.argument(), y.argument(), tokens, columns, add}, seed);
    auto product = [&](int64_t t, int64_t c) { return (add ? 0.75 : 0) + x.get(t, c) * dy.get(t, c); };
    compare("multiply", y, product);

    Buffer<int> ids(int64_t{tokens} * k);
    MatrixBuffer weights(tokens, k, kF32), dots(tokens, k, kF32);
    for (int64_t s = 0; s < int64_t{tokens} * k; s++) ids[s] = random.below(experts + 2);
    weights.fill(next);
    if (tokens > 0 && ids[0] < experts) x.set(0, 0, NAN);  // stays where it is unless the token has an identity slot
    std::vector<double> before;
    for (int64_t t = 0; t < tokens; t++) {
        for (int64_t c = 0; c < columns; c++) before.push_back(y.get(t, c));
    }
    IdentityAddArguments identity{ids.data(), floats(weights), tokens, k, experts, factor, x.argument(), y.argument(), columns};
    emulator::launch(dropless_identity_add, grid, kElementThreads, 0, identity, seed);
    compare("identity_add", y, [&](int64_t t, int64_t c) {
        double weight = 0;
        for (int64_t s = t * k; s < (t + 1) * k; s++) weight += ids[s] >= experts ? weights.get(t, s % k) : 0;
        return before[static_cast<size_t>(t * columns + c)] + (weight == 0 ? 0 : factor * weight * x.get(t, c));
    });
    dots.fill([] { return 3; });
    IdentityDotArguments dot{ids.data(), tokens, k, experts, factor, x.argument(), dy.argument(), columns, floats(dots)};
    emulator::launch(dropless_identity_dot, grid, kElementThreads, 0, dot, seed);
    compare("identity_dot", dots, [&](int64_t t, int64_t j) {
        double sum = 0;
        for (int64_t c = 0; c < columns; c++) sum += x.get(t, c) * dy.get(t, c);
        return ids[t * k + j] >= experts ? factor * sum : 3;
    });

    MatrixBuffer s(tokens, 1, kF32), gate(tokens, 1, kF32, 1), gradient(tokens, 1, kF32, 2);
    s.fill([&] { return random.uniform() * 8 - 4; });
    gradient.fill(next);
    GateArguments arguments{gate.argument(), s.argument(), tokens, factor};
    emulator::launch(dropless_sigmoid_gate, grid, kElementThreads, 0, arguments, seed);
    auto near = [](double v) { return 1e-6 * std::fabs(v); };
    compare("sigmoid_gate", gate, [&](int64_t t, int64_t) { return factor * plain_sigmoid(s.get(t, 0)); }, near);
    std::vector<double> d;
    for (int64_t t = 0; t < tokens; t++) d.push_back(gradient.get(t, 0));
    arguments.other = gradient.argument();
    emulator::launch(dropless_sigmoid_gate_backward, grid, kElementThreads, 0, arguments, seed);
    compare("sigmoid_gate_backward", gradient, [&](int64_t t, int64_t) {
        double q = plain_sigmoid(s.get(t, 0));
        return d[static_cast<size_t>(t)] * factor * q * (1 - q);
    }, [](double v) { return 1e-5 * std::fabs(v) + 1e-9; });
}

}  // namespace

int main(int argc, char **argv) {
    return run_seeds(argc, argv, 60, [](uint64_t seed) {
        Random random(seed);
        check_router(random, seed);
        check_elements(random, seed);
    });
}
