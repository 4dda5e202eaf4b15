// Runs CUDA kernels on a CPU, from their own source: device.cuh includes this file instead of defining PTX instructions. Here are threads,
// scheduling and memory; emulator_device.h has the operations of the device.
//
// Every thread of a block is a fiber. The blocks of a cluster run together, clusters one after the other in random order. Which warp
// runs, for how long, and in which order its lanes do, is random from a seed. Warp operations (shuffles, votes, ldmatrix, mma) happen when the last lane arrives, from
// fragments laid out as the PTX manual says (ISA 8.x, "Matrix Fragments for mma.m16n8k16", "ldmatrix"). Asynchronous copies are
// done as late as their wait, or at a random moment before it, in random order, and read their source only then. Shared memory starts as
// NaN and ends at a page that must not be touched; so do the buffers of test_support.h. A block in which no thread can go on is
// reported as a deadlock.
//
// It does not show: a misreading of the PTX manual that kernel and emulator share, weak memory ordering between threads, the limits of
// registers and shared memory, speed.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <list>
#include <memory>
#include <random>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) alignas(n)

namespace emulator {

constexpr int kWarp = 32;
constexpr size_t kStackBytes = 128 << 10;

struct Index {
    unsigned x = 0;
};

// A copy that has been asked for; group counts the commits before it.
struct Copy {
    long group;
    void *target;
    const void *source;
    int bytes, size;
    bool performed = false;

    void perform() {
        if (performed) return;
        performed = true;
        if (bytes > 0) memcpy(target, source, bytes);
        if (bytes < size) memset(static_cast<char *>(target) + bytes, 0, size - bytes);
    }
};

enum class State { kReady, kWaiting, kPolling, kDone };

struct Block;

// What a polling thread waits for.
struct Condition {
    bool (*holds)(const void *subject, uint64_t argument) = nullptr;
    const void *subject = nullptr;
    uint64_t argument = 0;
};

struct Thread {
    void *stack_pointer = nullptr;
    char *stack = nullptr;
    Block *block = nullptr;
    int index = 0;
    State state = State::kReady;
    Condition condition;
    long groups = 0;
    std::vector<Copy> copies;
};

// What a lane brings to a warp operation and takes from it.
struct Lane {
    const void *in = nullptr;
    void *out = nullptr;
    int argument = 0;
};

using WarpOperation = void (*)(Lane *lanes);

struct Warp {
    Lane lanes[kWarp];
    int arrived = 0;
    WarpOperation operation = nullptr;
};

struct Block {
    std::vector<Thread> threads;
    std::vector<Warp> warps;
    unsigned index = 0;  // in the grid
    unsigned rank = 0;   // in the cluster
    int live = 0;
    int at_barrier = 0;
    char *shared = nullptr;
    size_t shared_bytes = 0;
};

// What further parts of the machine (hopper_emulator.h) do at certain moments.
struct Hooks {
    void (*begin)() = nullptr;                // a cluster starts
    void (*thread_end)() = nullptr;           // the current thread has returned
    bool (*proceed)() = nullptr;              // performs something asynchronous; false if there is nothing
    void (*copied)(const Thread &thread, const void *target, bool waited) = nullptr;  // an asynchronous copy was made, or waited for
};

inline Hooks hooks;
inline std::vector<Block> cluster;
inline std::function<void()> kernel;
inline Block *block = nullptr;  // of the current thread
inline Thread *current = nullptr;
inline void *scheduler_stack_pointer = nullptr;
inline std::mt19937_64 random_engine;
inline Index thread_index, block_index, block_size, grid_size;
inline dropless::Fault planted_fault = dropless::Fault::kNone;

[[noreturn]] inline void fail(const char *what) {
    printf("emulator: %s (block %u, thread %u)\n", what, block_index.x, thread_index.x);
    fflush(stdout);
    _exit(3);
}

#if !defined(__x86_64__)
#error "the emulator switches stacks with x86-64 instructions; port emulator_switch to use it elsewhere"
#endif
// Saves the callee's registers on this stack and continues on the other one.
extern "C" void emulator_switch(void **save, void *load);
asm(R"(
.text
.weak emulator_switch
.type emulator_switch, @function
emulator_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size emulator_switch, .-emulator_switch
)");

inline void yield() {
    Thread *self = current;
    emulator_switch(&self->stack_pointer, scheduler_stack_pointer);
}

inline void release(State from) {
    for (Thread &t : block->threads) {
        if (t.state == from) t.state = State::kReady;
    }
}

// Suspends the current thread until the condition holds.
inline void wait_until(Condition condition) {
    if (condition.holds(condition.subject, condition.argument)) return;
    current->condition = condition;
    current->state = State::kPolling;
    yield();
}

inline bool can_run(Thread &thread) {
    if (thread.state != State::kPolling) return thread.state == State::kReady;
    if (!thread.condition.holds(thread.condition.subject, thread.condition.argument)) return false;
    thread.state = State::kReady;
    return true;
}

inline void complete_copies(Thread &thread, long before_group) {
    std::vector<Copy> &copies = thread.copies;
    for (size_t left = copies.size(); left > 0;) {  // in random order
        size_t i = random_engine() % left--;
        std::swap(copies[i], copies[left]);
        if (copies[left].group < before_group) {
            copies[left].perform();
            if (hooks.copied != nullptr) hooks.copied(thread, copies[left].target, true);
            copies.erase(copies.begin() + static_cast<long>(left));
        }
    }
}

inline void thread_main() {
    kernel();
    complete_copies(*current, current->groups + 1);
    if (hooks.thread_end != nullptr) hooks.thread_end();
    current->state = State::kDone;
    block->live--;
    yield();
    fail("a finished thread was resumed");
}

// All lanes of a warp meet; the last one performs the operation for all.
inline void warp_operation(WarpOperation operation, Lane lane) {
    Warp &warp = block->warps[current->index / kWarp];
    if (warp.arrived > 0 && warp.operation != operation) fail("lanes of a warp meet in different operations");
    warp.operation = operation;
    warp.lanes[current->index % kWarp] = lane;
    if (++warp.arrived < kWarp) {
        current->state = State::kWaiting;
        yield();
        return;
    }
    operation(warp.lanes);
    warp.arrived = 0;
    Thread *first = &block->threads[current->index / kWarp * kWarp];
    for (int i = 0; i < kWarp; i++) first[i].state = State::kReady;
}

inline void block_barrier() {
    if (++block->at_barrier < block->live) {
        current->state = State::kWaiting;
        yield();
        return;
    }
    block->at_barrier = 0;
    release(State::kWaiting);
}

inline void resume(Thread &thread) {
    current = &thread;
    block = thread.block;
    block_index.x = block->index;
    thread_index.x = static_cast<unsigned>(thread.index);
    emulator_switch(&scheduler_stack_pointer, thread.stack_pointer);
}

// Runs one warp for a random number of rounds; false if none of its lanes can run.
inline bool run_warp(Block &of, size_t warp) {
    int rounds = 1 << random_engine() % 8;
    bool progress = false;
    for (int round = 0; round < rounds; round++) {
        bool ran = false;
        unsigned first = random_engine() % kWarp;
        for (unsigned i = 0; i < kWarp; i++) {
            Thread &thread = of.threads[warp * kWarp + (first + i) % kWarp];
            if (can_run(thread)) {
                resume(thread);
                ran = true;
            }
        }
        if (!ran) break;
        progress = true;
    }
    return progress;
}

inline void complete_some_copy() {
    Block &any = cluster[random_engine() % cluster.size()];
    Thread &thread = any.threads[random_engine() % any.threads.size()];
    if (thread.copies.empty()) return;
    Copy &copy = thread.copies[random_engine() % thread.copies.size()];
    copy.perform();
    if (hooks.copied != nullptr) hooks.copied(thread, copy.target, false);
}

inline bool running() {
    for (const Block &b : cluster) {
        if (b.live > 0) return true;
    }
    return false;
}

inline void run_cluster() {
    size_t warps = cluster[0].warps.size(), all = warps * cluster.size();
    while (running()) {
        size_t first = random_engine() % all;
        bool progress = false;
        for (size_t i = 0; i < all && !progress; i++) {
            size_t warp = (first + i) % all;
            progress = run_warp(cluster[warp / warps], warp % warps);
        }
        if (hooks.proceed != nullptr && (!progress || random_engine() % 4 == 0)) progress |= hooks.proceed();
        if (!progress) fail("deadlock: threads wait for others that never come");
        if (random_engine() % 4 == 0) complete_some_copy();
    }
}

// A mapping whose end is followed by a page that must not be touched. Content: NaN in every type.
struct GuardedMemory {
    char *mapping = nullptr;
    size_t mapped = 0;
    char *data = nullptr;
    size_t bytes = 0;
    size_t slack = 0;  // between the end of the data and the guard page, less than `alignment`

    GuardedMemory(size_t size, size_t alignment) : bytes(size) {
        size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        slack = (alignment - size % alignment) % alignment;
        size_t usable = (size + slack + page - 1) / page * page;
        mapped = usable + page;
        mapping = static_cast<char *>(mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        if (mapping == MAP_FAILED) fail("out of memory");
        mprotect(mapping + usable, page, PROT_NONE);
        data = mapping + usable - slack - size;
        memset(mapping, 0xff, usable);
    }
    GuardedMemory(const GuardedMemory &) = delete;
    GuardedMemory &operator=(const GuardedMemory &) = delete;
    GuardedMemory(GuardedMemory &&other) noexcept
        : mapping(other.mapping), mapped(other.mapped), data(other.data), bytes(other.bytes), slack(other.slack) {
        other.mapping = nullptr;
    }
    ~GuardedMemory() {
        if (mapping != nullptr) munmap(mapping, mapped);
    }

    // Whether what lies before and behind the data is as it was.
    bool intact() const {
        auto untouched = [](const char *from, const char *to) {
            for (; from < to; from++) {
                if (static_cast<unsigned char>(*from) != 0xff) return false;
            }
            return true;
        };
        return untouched(mapping, data) && untouched(data + bytes, data + bytes + slack);
    }
};

inline char *stack_of(size_t thread) {
    static std::vector<std::unique_ptr<char[]>> stacks;
    while (stacks.size() <= thread) stacks.emplace_back(new char[kStackBytes]);
    return stacks[thread].get();
}

inline void prepare(Block &of, int index) {
    Thread &thread = of.threads[static_cast<size_t>(index)];
    thread.block = &of;
    thread.index = index;
    thread.state = State::kReady;
    thread.groups = 0;
    thread.copies.clear();
    thread.stack = stack_of(of.rank * of.threads.size() + static_cast<size_t>(index));
    auto top = reinterpret_cast<uintptr_t>(thread.stack + kStackBytes) & ~uintptr_t{63};
    void **frame = reinterpret_cast<void **>(top) - 8;  // six registers, the entry, and alignment as after a call
    memset(frame, 0, 8 * sizeof(void *));
    frame[6] = reinterpret_cast<void *>(&thread_main);
    thread.stack_pointer = frame;
}

// Launches a kernel of one argument structure, in clusters of some blocks, and returns when all of its blocks are done.
template <class Kernel, class Arguments>
void launch_clusters(
    Kernel function, unsigned grid, unsigned cluster_size, unsigned threads, size_t shared_bytes, const Arguments &arguments,
    uint64_t seed) {
    if (grid % cluster_size != 0) fail("the grid is not a multiple of the cluster");
    random_engine.seed(seed);
    kernel = [&] { function(arguments); };
    cluster = std::vector<Block>(cluster_size);
    block_size.x = threads;
    grid_size.x = grid;
    std::vector<unsigned> order(grid / cluster_size);
    for (unsigned i = 0; i < order.size(); i++) order[i] = i;
    std::shuffle(order.begin(), order.end(), random_engine);
    for (unsigned i : order) {
        std::list<GuardedMemory> memories;
        for (unsigned rank = 0; rank < cluster_size; rank++) {
            Block &b = cluster[rank];
            b.rank = rank;
            b.index = i * cluster_size + rank;
            // What swizzled copies are made to is a whole number of swizzle patterns, and begins at one.
            b.shared = memories.emplace_back(shared_bytes, shared_bytes % 1024 == 0 ? 1024 : 16).data;
            b.shared_bytes = shared_bytes;
            b.threads.resize(threads);
            b.warps.assign(threads / kWarp, Warp());
            b.live = static_cast<int>(threads);
            b.at_barrier = 0;
            for (unsigned t = 0; t < threads; t++) prepare(b, static_cast<int>(t));
        }
        if (hooks.begin != nullptr) hooks.begin();
        run_cluster();
        for (const GuardedMemory &shared : memories) {
            if (!shared.intact()) fail("wrote outside of shared memory");
        }
    }
    block = nullptr;
}

template <class Kernel, class Arguments>
void launch(Kernel function, unsigned grid, unsigned threads, size_t shared_bytes, const Arguments &arguments, uint64_t seed) {
    launch_clusters(function, grid, 1, threads, shared_bytes, arguments, seed);
}

}  // namespace emulator

#include "emulator_device.h"
