// What the emulated tests share: buffers that notice stray accesses, seeded inputs, exact comparison, and the main program.
#pragma once

#ifndef DROPLESS_EMULATOR
#error "compile with -DDROPLESS_EMULATOR"
#endif

#include <algorithm>
#include <csignal>
#include <map>
#include <string>

#include "matrix.cuh"

namespace test {

using dropless::bf16;
using dropless::f16;

inline long mismatches = 0;

inline void report_mismatch(const std::string &what) {
    if (++mismatches <= 10) printf("mismatch: %s\n", what.c_str());
}

struct Random {
    std::mt19937_64 engine;

    explicit Random(uint64_t seed) : engine(seed) {}
    int below(int n) { return static_cast<int>(engine() % static_cast<uint64_t>(n)); }
    int between(int low, int high) { return low + below(high - low + 1); }
    bool flip() { return below(2) == 0; }
    template <class T> T of(std::initializer_list<T> values) { return values.begin()[below(static_cast<int>(values.size()))]; }
    // A multiple of 1/8 in -1..1: sums of products of such numbers are exact in fp32, in any order.
    double eighth() { return (below(17) - 8) / 8.0; }
    double uniform() { return static_cast<double>(engine() >> 11) * 0x1p-53; }
};

// Memory as a kernel sees it. Starts as NaN; ends where a stray access is a fault, or is noticed by `intact`.
template <class T> struct Buffer {
    emulator::GuardedMemory memory;

    // `shift` elements off a 16-byte boundary.
    explicit Buffer(int64_t count, int shift = 0)
        : memory((static_cast<size_t>(count) + static_cast<size_t>(shift)) * sizeof(T), 16), offset(shift), size(count) {}

    T *data() { return reinterpret_cast<T *>(memory.data) + offset; }
    T &operator[](int64_t i) { return data()[i]; }
    int offset;
    int64_t size;

    void check(const char *name) const {
        if (!memory.intact()) report_mismatch(std::string(name) + ": written outside");
    }
    void assign(const std::vector<T> &values) { std::copy(values.begin(), values.end(), data()); }
    std::vector<T> values() { return std::vector<T>(data(), data() + size); }
};

inline size_t size_of(int64_t type) { return static_cast<size_t>(dropless::element_size(type)); }

inline double round_to(int64_t type, double x) { return dropless::round_to(type, static_cast<float>(x)); }

// A matrix of any type with gaps between its rows, which must stay as they are.
struct MatrixBuffer {
    int64_t rows, columns, stride, type;
    Buffer<char> buffer;

    MatrixBuffer(int64_t r, int64_t c, int64_t t, int64_t gap = 0, int shift = 0)
        : rows(r), columns(c), stride(c + gap), type(t),
          buffer(r * (c + gap) * static_cast<int64_t>(size_of(t)), shift * static_cast<int>(size_of(t))) {}

    dropless::Matrix argument() { return {buffer.data(), stride, type}; }
    double get(int64_t row, int64_t column) {
        return dropless::load_element(buffer.data(), type, row * stride + column);
    }
    void set(int64_t row, int64_t column, double value) {
        dropless::store_element(buffer.data(), type, row * stride + column, static_cast<float>(value));
    }
    void fill(const std::function<double()> &next) {
        for (int64_t i = 0; i < rows; i++) {
            for (int64_t j = 0; j < columns; j++) set(i, j, next());
        }
    }
    std::vector<char> bytes() { return buffer.values(); }
};

// An absent matrix.
inline dropless::Matrix none() { return {nullptr, 0, dropless::kF32}; }

// Whether x is the expected value, NaN for NaN, up to a tolerance.
inline bool close(double x, double expected, double tolerance) {
    if (std::isnan(expected) || std::isnan(x)) return std::isnan(expected) && std::isnan(x);
    return x == expected || std::fabs(x - expected) <= tolerance;
}

// Compares a matrix with expectations given in double: rounded once they must be equal, unless there is a tolerance for the value
// before it is rounded. Gaps must be untouched.
inline void compare(
    const char *name, MatrixBuffer &found, const std::function<double(int64_t, int64_t)> &expected,
    const std::function<double(double)> &tolerance = nullptr) {
    double unit = found.type == dropless::kF32 ? 0x1p-24 : found.type == dropless::kBf16 ? 0x1p-8 : 0x1p-11;
    for (int64_t i = 0; i < found.rows; i++) {
        for (int64_t j = 0; j < found.stride; j++) {
            double x = found.get(i, j);
            if (j >= found.columns) {
                if (!std::isnan(x)) report_mismatch(std::string(name) + ": gap after row " + std::to_string(i) + " written");
                continue;
            }
            double y = expected(i, j);
            double allowed = tolerance ? tolerance(y) + 2 * unit * std::fabs(y) : 0;
            if (!close(x, round_to(found.type, y), allowed)) {
                char text[256];
                snprintf(text, sizeof text, "%s[%ld, %ld]: expected %.9g, found %.9g", name, static_cast<long>(i),
                         static_cast<long>(j), round_to(found.type, y), x);
                report_mismatch(text);
            }
        }
    }
    found.buffer.check(name);
}

template <class T> void compare_integers(const char *name, Buffer<T> &found, const std::vector<T> &expected) {
    for (size_t i = 0; i < expected.size(); i++) {
        if (found[static_cast<int64_t>(i)] != expected[i]) {
            report_mismatch(std::string(name) + "[" + std::to_string(i) + "]: expected " + std::to_string(expected[i]) + ", found "
                            + std::to_string(found[static_cast<int64_t>(i)]));
        }
    }
    found.check(name);
}

inline const std::map<std::string, dropless::Fault> &faults() {
    using dropless::Fault;
    static const std::map<std::string, Fault> names = {
        {"no-copy-wait", Fault::kNoCopyWait},         {"wrong-copy-count", Fault::kWrongCopyCount},
        {"no-stage-barrier", Fault::kNoStageBarrier}, {"no-tile-barrier", Fault::kNoTileBarrier},
        {"tail-overwrite", Fault::kTailOverwrite},    {"no-run-mask", Fault::kNoRunMask},
        {"no-row-mask", Fault::kNoRowMask},           {"no-scale", Fault::kNoScale},
        {"unstable-place", Fault::kUnstablePlace},    {"no-full-wait", Fault::kNoFullWait},
        {"no-empty-wait", Fault::kNoEmptyWait},       {"wrong-arrivals", Fault::kWrongArrivals},
        {"wrong-bytes", Fault::kWrongBytes},          {"no-proxy-fence", Fault::kNoProxyFence},
        {"stale-staging", Fault::kStaleStaging},      {"no-product-wait", Fault::kNoProductWait},
        {"no-sharing", Fault::kNoSharing},           {"no-tail-a", Fault::kNoTailA},
        {"no-tail-b", Fault::kNoTailB},               {"no-partial", Fault::kNoPartial},
        {"wrong-turn", Fault::kWrongTurn},           {"no-turn", Fault::kNoTurn},
        {"tied-order", Fault::kTiedOrder},
    };
    return names;
}

inline void on_bad_access(int) {
    static const char text[] = "emulator: access outside of memory\n";
    ssize_t ignored = write(STDOUT_FILENO, text, sizeof text - 1);
    (void)ignored;
    _exit(3);
}

// Runs seeds 1..count. Options: [--seeds FIRST COUNT] [--fault NAME]. Exit status 0 if every seed passed, 1 for a mismatch, 3 for a fault of the machine.
inline int run_seeds(int argc, char **argv, uint64_t count, const std::function<void(uint64_t)> &run) {
    static char signal_stack[64 << 10];
    stack_t alternate{};
    alternate.ss_sp = signal_stack;
    alternate.ss_size = sizeof signal_stack;
    sigaltstack(&alternate, nullptr);
    struct sigaction action {};
    action.sa_handler = on_bad_access;
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGSEGV, &action, nullptr);
    sigaction(SIGBUS, &action, nullptr);

    uint64_t first = 1;
    for (int i = 1; i < argc; i++) {
        std::string option = argv[i];
        if (option == "--seeds" && i + 2 < argc) {
            first = std::stoull(argv[++i]);
            count = std::stoull(argv[++i]);
        } else if (option == "--fault" && i + 1 < argc && faults().count(argv[i + 1])) {
            emulator::planted_fault = faults().at(argv[++i]);
        } else {
            printf("unknown option %s\n", option.c_str());
            return 2;
        }
    }
    for (uint64_t seed = first; seed < first + count; seed++) {
        long before = mismatches;
        run(seed);
        if (mismatches > before) printf("seed %lu failed\n", static_cast<unsigned long>(seed));
        if (emulator::planted_fault != dropless::Fault::kNone && mismatches > 0) break;
    }
    printf("%lu seeds, %ld mismatches\n", static_cast<unsigned long>(count), mismatches);
    return mismatches == 0 ? 0 : 1;
}

}  // namespace test
