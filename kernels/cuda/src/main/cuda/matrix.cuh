// Matrices as kernels receive them, and runs of eight elements whose type is known only at run time.
#pragma once

#include "device.cuh"

namespace dropless {

// Codes of element types in kernel arguments. F64 is known to `convert` only.
enum ElementType : int64_t { kF32 = 0, kBf16 = 1, kF16 = 2, kF64 = 3 };

// A row-major matrix argument: three 64-bit words. A null pointer stands for an absent matrix.
struct Matrix {
    void *data;
    int64_t stride;  // elements from one row to the next
    int64_t type;    // ElementType
};

__device__ __forceinline__ int element_size(int64_t type) { return type == kF32 ? 4 : type == kF64 ? 8 : 2; }

__device__ __forceinline__ float load_element(const void *data, int64_t type, int64_t index) {
    switch (type) {
        case kBf16: return to_float(static_cast<const bf16 *>(data)[index]);
        case kF16: return to_float(static_cast<const f16 *>(data)[index]);
        case kF64: return static_cast<float>(static_cast<const double *>(data)[index]);
        default: return static_cast<const float *>(data)[index];
    }
}

__device__ __forceinline__ void store_element(void *data, int64_t type, int64_t index, float value) {
    switch (type) {
        case kBf16: static_cast<bf16 *>(data)[index] = from_float<bf16>(value); break;
        case kF16: static_cast<f16 *>(data)[index] = from_float<f16>(value); break;
        case kF64: static_cast<double *>(data)[index] = value; break;
        default: static_cast<float *>(data)[index] = value; break;
    }
}

constexpr int kRun = 8;  // elements that one thread handles together

template <class T> struct alignas(16) Pack {
    T element[16 / sizeof(T)];
};

template <class T> __device__ __forceinline__ void load_run(const T *p, int count, float (&v)[kRun]) {
    constexpr int n = 16 / sizeof(T);
    if (count == kRun && (reinterpret_cast<uintptr_t>(p) & 15) == 0) {
#pragma unroll
        for (int i = 0; i < kRun; i += n) {
            Pack<T> pack = *reinterpret_cast<const Pack<T> *>(p + i);
#pragma unroll
            for (int j = 0; j < n; j++) v[i + j] = to_float(pack.element[j]);
        }
        return;
    }
#pragma unroll
    for (int i = 0; i < kRun; i++) v[i] = i < count ? to_float(p[i]) : 0.f;
}

template <class T> __device__ __forceinline__ void store_run(T *p, int count, const float (&v)[kRun]) {
    constexpr int n = 16 / sizeof(T);
    if (count == kRun && (reinterpret_cast<uintptr_t>(p) & 15) == 0) {
#pragma unroll
        for (int i = 0; i < kRun; i += n) {
            Pack<T> pack;
#pragma unroll
            for (int j = 0; j < n; j++) pack.element[j] = from_float<T>(v[i + j]);
            *reinterpret_cast<Pack<T> *>(p + i) = pack;
        }
        return;
    }
#pragma unroll
    for (int i = 0; i < kRun; i++) {
        if (i < count) p[i] = from_float<T>(v[i]);
    }
}

// Loads `count` elements (at most 8; fewer than 1 is none) from `index` on; the rest of v is zero.
__device__ __forceinline__ void load_run(const void *data, int64_t type, int64_t index, int count, float (&v)[kRun]) {
    switch (type) {
        case kBf16: load_run(static_cast<const bf16 *>(data) + index, count, v); break;
        case kF16: load_run(static_cast<const f16 *>(data) + index, count, v); break;
        default: load_run(static_cast<const float *>(data) + index, count, v); break;
    }
}

// Stores the first `count` elements (at most 8) of v, each rounded once.
__device__ __forceinline__ void store_run(void *data, int64_t type, int64_t index, int count, const float (&v)[kRun]) {
    switch (type) {
        case kBf16: store_run(static_cast<bf16 *>(data) + index, count, v); break;
        case kF16: store_run(static_cast<f16 *>(data) + index, count, v); break;
        default: store_run(static_cast<float *>(data) + index, count, v); break;
    }
}

// Adds `count` elements from `index` on to v.
__device__ __forceinline__ void add_run(const void *data, int64_t type, int64_t index, int count, float (&v)[kRun]) {
    float other[kRun];
    load_run(data, type, index, count, other);
#pragma unroll
    for (int i = 0; i < kRun; i++) v[i] += other[i];
}

// Rounds as a store to a matrix of that type would.
__device__ __forceinline__ float round_to(int64_t type, float x) {
    switch (type) {
        case kBf16: return to_float(from_float<bf16>(x));
        case kF16: return to_float(from_float<f16>(x));
        default: return x;
    }
}

__device__ __forceinline__ int64_t ceil_div(int64_t x, int64_t y) { return (x + y - 1) / y; }

// The segment that x lies in, by binary search: starts[0] <= x, segments may be empty.
__device__ __forceinline__ int segment_of(const int *starts, int segments, int x) {
    int low = 0, high = segments - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (starts[middle + 1] > x) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

__device__ __forceinline__ int clamp_count(int64_t left, int most) {
    return left <= 0 ? 0 : left < most ? static_cast<int>(left) : most;
}

}  // namespace dropless
