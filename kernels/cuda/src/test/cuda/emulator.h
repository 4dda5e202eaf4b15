// Runs CUDA kernels on a CPU, from their own source: device.cuh includes this file instead of defining PTX instructions. Here are threads,
// scheduling and memory; emulator_device.h has the operations of the device.
//
// Every thread of a block is a fiber, blocks run one after the other in random order. Which warp runs, for how long, and in which
// order its lanes do, is random from a seed. Warp operations (shuffles, votes, ldmatrix, mma) happen when the last lane arrives, from
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
#include <memory>
#include <random>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__

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

    void perform() const {
        if (bytes > 0) memcpy(target, source, bytes);
        if (bytes < size) memset(static_cast<char *>(target) + bytes, 0, size - bytes);
    }
};

enum class State { kReady, kWaiting, kDone };

struct Thread {
    void *stack_pointer = nullptr;
    char *stack = nullptr;
    int index = 0;
    State state = State::kReady;
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
    int live = 0;
    int at_barrier = 0;
    char *shared = nullptr;
    size_t shared_bytes = 0;
    std::function<void()> kernel;
};

inline Block *block = nullptr;
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

inline void complete_copies(Thread &thread, long before_group) {
    std::vector<Copy> &copies = thread.copies;
    for (size_t left = copies.size(); left > 0;) {  // in random order
        size_t i = random_engine() % left--;
        std::swap(copies[i], copies[left]);
        if (copies[left].group < before_group) {
            copies[left].perform();
            copies.erase(copies.begin() + static_cast<long>(left));
        }
    }
}

inline void thread_main() {
    block->kernel();
    complete_copies(*current, current->groups + 1);
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
    thread_index.x = static_cast<unsigned>(thread.index);
    emulator_switch(&scheduler_stack_pointer, thread.stack_pointer);
}

// Runs one warp for a random number of rounds; false if none of its lanes can run.
inline bool run_warp(size_t warp) {
    int rounds = 1 << random_engine() % 8;
    bool progress = false;
    for (int round = 0; round < rounds; round++) {
        bool ran = false;
        unsigned first = random_engine() % kWarp;
        for (unsigned i = 0; i < kWarp; i++) {
            Thread &thread = block->threads[warp * kWarp + (first + i) % kWarp];
            if (thread.state == State::kReady) {
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
    Thread &thread = block->threads[random_engine() % block->threads.size()];
    if (thread.copies.empty()) return;
    std::swap(thread.copies[random_engine() % thread.copies.size()], thread.copies.back());
    thread.copies.back().perform();
    thread.copies.pop_back();
}

inline void run_block() {
    size_t warps = block->warps.size();
    while (block->live > 0) {
        size_t first = random_engine() % warps;
        bool progress = false;
        for (size_t i = 0; i < warps && !progress; i++) progress = run_warp((first + i) % warps);
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

inline void prepare(Thread &thread, int index) {
    thread.index = index;
    thread.state = State::kReady;
    thread.groups = 0;
    thread.copies.clear();
    thread.stack = stack_of(static_cast<size_t>(index));
    auto top = reinterpret_cast<uintptr_t>(thread.stack + kStackBytes) & ~uintptr_t{63};
    void **frame = reinterpret_cast<void **>(top) - 8;  // six registers, the entry, and alignment as after a call
    memset(frame, 0, 8 * sizeof(void *));
    frame[6] = reinterpret_cast<void *>(&thread_main);
    thread.stack_pointer = frame;
}

// Launches a kernel of one argument structure and returns when all of its blocks are done.
template <class Kernel, class Arguments>
void launch(Kernel kernel, unsigned grid, unsigned threads, size_t shared_bytes, const Arguments &arguments, uint64_t seed) {
    random_engine.seed(seed);
    Block b;
    block = &b;
    b.kernel = [&] { kernel(arguments); };
    b.shared_bytes = shared_bytes;
    b.threads.resize(threads);
    block_size.x = threads;
    grid_size.x = grid;
    std::vector<unsigned> order(grid);
    for (unsigned i = 0; i < grid; i++) order[i] = i;
    std::shuffle(order.begin(), order.end(), random_engine);
    for (unsigned i : order) {
        GuardedMemory shared(shared_bytes, 16);
        b.shared = shared.data;
        b.warps.assign(threads / kWarp, Warp());
        b.live = static_cast<int>(threads);
        b.at_barrier = 0;
        for (unsigned t = 0; t < threads; t++) prepare(b.threads[t], static_cast<int>(t));
        block_index.x = i;
        run_block();
        if (!shared.intact()) fail("wrote outside of shared memory");
    }
    block = nullptr;
}

}  // namespace emulator

#include "emulator_device.h"
