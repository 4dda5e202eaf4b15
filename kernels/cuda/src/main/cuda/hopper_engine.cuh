// What the parts of a Hopper product share: the shape of tiles and stages, shared memory, the ring of stages, descriptors of operands.
#pragma once

#include "hopper_schedule.cuh"

namespace dropless {

constexpr int kHopperThreads = 384;
constexpr int kMultiplyingWarps = 8;
constexpr int kWarpgroupRows = 64;   // of a tile, for each of the two multiplying warpgroups
constexpr int kStagingBuffers = 2;   // boxes of 64 x 64 results, for each of them
constexpr int kGatherDelay = 2;      // stages that a gathered one is behind the youngest when it is reported complete

// `row_boxes`: with two, a tile has twice 128 rows, and each warpgroup 64 of both; such tiles do without staging memory.
template <class T, Layout a, Layout b, int columns = 256, int stages = 4, int row_boxes = 1> struct HopperEngine {
    using Element = T;
    static constexpr Layout kLayoutA = a, kLayoutB = b;
    static constexpr int kColumns = columns;
    static constexpr int kStages = stages;
    static constexpr int kDepth = kBoxColumns;
    static constexpr int kRowBoxes = row_boxes;
    static constexpr int kBytesA = row_boxes * kTile * kDepth * 2;
    static constexpr int kBytesB = kColumns * kDepth * 2;
    static constexpr int kSums = row_boxes * kColumns / 2;  // of a thread
    // Registers of a thread that copies and of one that multiplies: 504 for the three warpgroups.
    static constexpr int kBoxRegisters = 40, kBoxProductRegisters = 232;
    static constexpr int kGatherRegisters = 56, kGatherProductRegisters = 224;
    static constexpr int kOrderedExperts = 0;  // whether tiles of long sums come first, and of how many experts: hopper_order.cuh
    static constexpr bool kTurns = false;  // whether the multiplying warpgroups have tiles of their own: hopper_turns.cuh
};

// Memory of a stage, where the summed dimension is contiguous: boxes of 64 elements by rows of the tile. Else boxes of 64 of the tile's
// columns (or rows) by 64 of the summed dimension, kBoxBytes apart.
constexpr int kBoxBytes = kBoxColumns * kSwizzleBytes;

struct Stage {
    unsigned char *a, *b;
    Barrier *full;
};

// Of the two multiplying warpgroups.
template <bool present> struct StagingMemory {
    alignas(kSwizzlePattern) unsigned char box[2][kStagingBuffers][kBoxBytes];
    float row[2][kBoxColumns];
};
template <> struct StagingMemory<false> {};

template <int most> struct OrderMemory {
    uint16_t expert[most];
};
template <> struct OrderMemory<0> {};

template <class Engine> struct alignas(kSwizzlePattern) HopperShared {
    unsigned char a[Engine::kStages][Engine::kBytesA];
    unsigned char b[Engine::kStages][Engine::kBytesB];
    StagingMemory<Engine::kRowBoxes == 1> staging;
    Barrier full[Engine::kStages], empty[Engine::kStages];
    Barrier turn[2];  // of the multiplying warpgroups, where they take turns
    OrderMemory<Engine::kOrderedExperts> order;

    __device__ HopperShared() {}
    __device__ __forceinline__ Stage stage(int i) { return {a[i], b[i], &full[i]}; }
};

// Where in the ring of stages a thread is, and the parity of the phase it waits for.
template <int stages> struct Ring {
    int stage = 0;
    unsigned parity;

    __device__ explicit Ring(unsigned p) : parity(p) {}
    __device__ __forceinline__ void next() {
        if (++stage == stages) {
            stage = 0;
            parity ^= 1;
        }
    }
    __device__ __forceinline__ void skip(int count) {
        stage += count;
        parity ^= stage / stages & 1;
        stage %= stages;
    }
};

// What a product reads: 64-bit descriptor of a place in shared memory. Depth-major, the pattern of eight rows repeats every 1024 bytes;
// wide-major, every 1024 bytes along the summed dimension, and boxes of 64 follow each other at kBoxBytes.
template <Layout layout> __device__ __forceinline__ uint64_t operand_descriptor(const void *p) {
    uint64_t leading = layout == Layout::kDepthMajor ? 1 : kBoxBytes >> 4;
    return (shared_address(p) & 0x3ffff) >> 4 | leading << 16 | uint64_t{kSwizzlePattern >> 4} << 32 | uint64_t{1} << 62;
}

// What to add to a descriptor for the next 16 of the summed dimension.
template <Layout layout> __device__ constexpr uint64_t descriptor_step() {
    return layout == Layout::kDepthMajor ? 32 >> 4 : 16 * kSwizzleBytes >> 4;
}

// Whether a tile goes on: some jobs compute one in parts, each summed and written by itself.
template <class Job, class Tile> __device__ __forceinline__ auto next_part(const Job &job, Tile &tile, int) -> decltype(job.next_part(tile)) {
    return job.next_part(tile);
}
template <class Job, class Tile> __device__ __forceinline__ bool next_part(const Job &, Tile &, long) { return false; }

}  // namespace dropless
