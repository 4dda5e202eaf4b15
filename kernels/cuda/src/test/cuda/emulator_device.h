// What kernels call: CUDA's built-ins and the operations of device.cuh, on the fibers of emulator.h.
#pragma once

#include "emulator.h"

namespace emulator {

template <class T> T shuffle(T value, int argument, int (*source)(int lane, int argument)) {
    static int (*lane_of)(int, int);
    lane_of = source;
    T result;
    warp_operation(
        [](Lane *lanes) {
            for (int i = 0; i < kWarp; i++) {
                memcpy(lanes[i].out, lanes[lane_of(i, lanes[i].argument)].in, sizeof(T));
            }
        },
        {&value, &result, argument});
    return result;
}

inline void check_aligned(const void *p, size_t alignment, const char *what) {
    if (reinterpret_cast<uintptr_t>(p) % alignment != 0) fail(what);
}

inline void copy_async(void *shared, const void *global, int bytes, int size) {
    check_aligned(shared, static_cast<size_t>(size), "cp.async: shared address is not aligned");
    check_aligned(global, static_cast<size_t>(size), "cp.async: global address is not aligned");
    if (bytes < 0 || bytes > size) fail("cp.async: source size out of range");
    char *target = static_cast<char *>(shared);
    if (target < block->shared || target + size > block->shared + block->shared_bytes) fail("cp.async: outside of shared memory");
    current->copies.push_back({current->groups, shared, global, bytes, size, false});
}

}  // namespace emulator

#define threadIdx (emulator::thread_index)
#define blockIdx (emulator::block_index)
#define blockDim (emulator::block_size)
#define gridDim (emulator::grid_size)
#define SHARED_MEMORY(Type, name) Type &name = *reinterpret_cast<Type *>(emulator::block->shared)

inline void __syncthreads() { emulator::block_barrier(); }

inline void __syncwarp() {
    emulator::warp_operation([](emulator::Lane *) {}, {});
}

inline void require_all_lanes(unsigned mask) {
    if (mask != ~0u) emulator::fail("only operations of whole warps are emulated");
}

template <class T> T __shfl_xor_sync(unsigned mask, T value, int distance) {
    require_all_lanes(mask);
    return emulator::shuffle(value, distance, [](int lane, int d) { return lane ^ d; });
}

template <class T> T __shfl_up_sync(unsigned mask, T value, int distance) {
    require_all_lanes(mask);
    return emulator::shuffle(value, distance, [](int lane, int d) { return lane >= d ? lane - d : lane; });
}

template <class T> T __shfl_sync(unsigned mask, T value, int source) {
    require_all_lanes(mask);
    return emulator::shuffle(value, source, [](int, int s) { return s % emulator::kWarp; });
}

inline unsigned __ballot_sync(unsigned mask, bool vote) {
    require_all_lanes(mask);
    unsigned result;
    emulator::warp_operation(
        [](emulator::Lane *lanes) {
            unsigned all = 0;
            for (int i = 0; i < emulator::kWarp; i++) all |= static_cast<unsigned>(lanes[i].argument) << i;
            for (int i = 0; i < emulator::kWarp; i++) *static_cast<unsigned *>(lanes[i].out) = all;
        },
        {nullptr, &result, vote ? 1 : 0});
    return result;
}

inline unsigned __match_any_sync(unsigned mask, int value) {
    require_all_lanes(mask);
    unsigned result;
    emulator::warp_operation(
        [](emulator::Lane *lanes) {
            for (int i = 0; i < emulator::kWarp; i++) {
                unsigned same = 0;
                for (int j = 0; j < emulator::kWarp; j++) same |= (lanes[i].argument == lanes[j].argument ? 1u : 0u) << j;
                *static_cast<unsigned *>(lanes[i].out) = same;
            }
        },
        {nullptr, &result, value});
    return result;
}

inline float __expf(float x) { return expf(x); }
inline float __fdividef(float x, float y) { return x / y; }

inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }

namespace dropless {

struct bf16 {
    uint16_t bits;
};
struct f16 {
    _Float16 value;
};

inline bool planted(Fault fault) { return emulator::planted_fault == fault; }

inline float to_float(float x) { return x; }
inline float to_float(bf16 x) {
    uint32_t bits = uint32_t{x.bits} << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}
inline float to_float(f16 x) { return static_cast<float>(x.value); }

template <class T> inline T from_float(float x);
template <> inline float from_float<float>(float x) { return x; }
template <> inline bf16 from_float<bf16>(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (x != x) return {0x7fff};
    return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
template <> inline f16 from_float<f16>(float x) { return {static_cast<_Float16>(x)}; }

inline void copy_async_16(void *shared, const void *global, int bytes) { emulator::copy_async(shared, global, bytes, 16); }
inline void copy_async_4(void *shared, const void *global, int bytes) {
    if (bytes != 0 && bytes != 4) emulator::fail("cp.async of 4 bytes: source size is neither 0 nor 4");
    emulator::copy_async(shared, global, bytes, 4);
}
inline void copy_async_commit() { emulator::current->groups++; }
template <int pending> void copy_async_wait() {
    emulator::complete_copies(*emulator::current, emulator::current->groups - pending);
}

// Element (row, column) of matrix m, from the row addresses of the lanes.
inline uint16_t matrix_element(const emulator::Lane *lanes, int m, int row, int column) {
    return static_cast<const uint16_t *>(lanes[m * 8 + row].in)[column];
}

template <bool transposed> void load_matrices_of_warp(emulator::Lane *lanes) {
    for (int lane = 0; lane < emulator::kWarp; lane++) {
        auto *d = static_cast<unsigned *>(lanes[lane].out);
        int major = lane / 4, minor = lane % 4 * 2;
        for (int m = 0; m < 4; m++) {
            unsigned low = transposed ? matrix_element(lanes, m, minor, major) : matrix_element(lanes, m, major, minor);
            unsigned high = transposed ? matrix_element(lanes, m, minor + 1, major) : matrix_element(lanes, m, major, minor + 1);
            d[m] = low | high << 16;
        }
    }
}

inline void load_matrices(unsigned (&d)[4], const void *row) {
    emulator::check_aligned(row, 16, "ldmatrix: row address is not aligned");
    emulator::warp_operation(load_matrices_of_warp<false>, {row, d, 0});
}

inline void load_matrices_transposed(unsigned (&d)[4], const void *row) {
    emulator::check_aligned(row, 16, "ldmatrix: row address is not aligned");
    emulator::warp_operation(load_matrices_of_warp<true>, {row, d, 0});
}

template <class T> float half_of(unsigned pair, int half) {
    auto bits = static_cast<uint16_t>(pair >> 16 * half);
    T element;
    memcpy(&element, &bits, sizeof element);
    return to_float(element);
}

template <class T> void multiply_add_of_warp(emulator::Lane *lanes) {
    float a[16][16], b[16][8];
    for (int lane = 0; lane < emulator::kWarp; lane++) {
        const auto *in = static_cast<const unsigned *>(lanes[lane].in);
        for (int half = 0; half < 2; half++) {
            int group = lane / 4, k = lane % 4 * 2 + half;
            a[group][k] = half_of<T>(in[0], half);
            a[group + 8][k] = half_of<T>(in[1], half);
            a[group][k + 8] = half_of<T>(in[2], half);
            a[group + 8][k + 8] = half_of<T>(in[3], half);
            b[k][group] = half_of<T>(in[4], half);
            b[k + 8][group] = half_of<T>(in[5], half);
        }
    }
    for (int i = 0; i < 16; i++) {
        float sum[8] = {};
        for (int k = 0; k < 16; k++) {
            for (int j = 0; j < 8; j++) sum[j] += a[i][k] * b[k][j];
        }
        for (int j = 0; j < 8; j++) {
            static_cast<float *>(lanes[i % 8 * 4 + j / 2].out)[i / 8 * 2 + j % 2] += sum[j];
        }
    }
}

template <class T> void multiply_add(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    unsigned in[6] = {a[0], a[1], a[2], a[3], b0, b1};
    emulator::warp_operation(multiply_add_of_warp<T>, {in, d, 0});
}

}  // namespace dropless
