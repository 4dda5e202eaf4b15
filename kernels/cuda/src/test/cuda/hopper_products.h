// Products of warpgroups on the CPU: started with the descriptors that the hardware would get, computed when their group is waited for, warp by
// warp. Until then the sums of a thread are NaN, so that touching them too early shows.
#pragma once

#include "hopper_emulator.h"

namespace emulator {

// Sums of one thread that products in flight add to.
struct SumsInFlight {
    float *target;
    std::vector<float> values;
};

struct StartedProduct {
    long group;
    void (*compute)(size_t n_th);
    uint64_t a, b;
    float *sums;
    bool accumulate;
};

struct ProductThread {
    std::vector<StartedProduct> started;
    std::vector<SumsInFlight> in_flight;
    long groups = 0;

    float *values_of(float *target) {
        for (SumsInFlight &sums : in_flight) {
            if (sums.target == target) return sums.values.data();
        }
        return nullptr;
    }
};

inline std::vector<std::vector<ProductThread>> products;

inline ProductThread &product_thread(const Thread &thread) { return products[thread.block->rank][static_cast<size_t>(thread.index)]; }

// Eight elements of an operand of 16 of the summed dimension, as floats: for a == 0 in the summed dimension from `deep` on at `wide`, else
// in the other dimension from `wide` on at `deep`.
template <class T> void read_chunk(uint64_t descriptor, int is_wide, int wide, int deep, float *out) {
    if (descriptor >> 62 != 1) fail("descriptor: swizzle is not that of 128 bytes");
    if ((descriptor >> 49 & 7) != 0) fail("descriptor: base offset is not 0");
    unsigned start = static_cast<unsigned>(descriptor & 0x3fff) << 4;
    unsigned leading = static_cast<unsigned>(descriptor >> 16 & 0x3fff) << 4, stride = static_cast<unsigned>(descriptor >> 32 & 0x3fff) << 4;
    auto w = static_cast<unsigned>(wide), d = static_cast<unsigned>(deep);
    unsigned place = is_wide ? w / 64 * leading + w % 64 * 2 + d / 8 * stride + d % 8 * 128 : w / 8 * stride + w % 8 * 128 + d * 2;
    unsigned address = block->rank << kRankBit | swizzle(start + place);
    check_fenced(address);
    T elements[8];
    memcpy(elements, shared_bytes(address, 16), sizeof elements);
    for (int i = 0; i < 8; i++) out[i] = dropless::to_float(elements[i]);
}

// Rows 16 w .. 16 w + 15 of the product, of warp w of the warpgroup; it is number n of those that the lanes have started.
template <class T, int width, int a_wide, int b_wide> void compute_product(size_t n_th) {
    const StartedProduct &product = product_thread(*current).started[n_th];
    static float a[16][16], b[16][width];  // by the summed dimension first
    int first_row = current->index / kWarp % 4 * 16;
    for (int i = 0; i < 16; i++) {
        float chunk[16];
        if (a_wide) {
            read_chunk<T>(product.a, 1, first_row, i, chunk);
            read_chunk<T>(product.a, 1, first_row + 8, i, chunk + 8);
            for (int row = 0; row < 16; row++) a[i][row] = chunk[row];
        } else {
            read_chunk<T>(product.a, 0, first_row + i, 0, chunk);
            read_chunk<T>(product.a, 0, first_row + i, 8, chunk + 8);
            for (int k = 0; k < 16; k++) a[k][i] = chunk[k];
        }
    }
    for (int n = 0; n < width; n++) {
        float chunk[16];
        if (b_wide) {
            if (n % 8 != 0) continue;
            for (int k = 0; k < 16; k++) read_chunk<T>(product.b, 1, n, k, b[k] + n);
        } else {
            read_chunk<T>(product.b, 0, n, 0, chunk);
            read_chunk<T>(product.b, 0, n, 8, chunk + 8);
            for (int k = 0; k < 16; k++) b[k][n] = chunk[k];
        }
    }
    Thread *lanes = &block->threads[static_cast<size_t>(current->index / kWarp * kWarp)];
    for (int row = 0; row < 16; row++) {
        float sum[width] = {};
        for (int k = 0; k < 16; k++) {
            float left = a[k][row];
            for (int n = 0; n < width; n++) sum[n] += left * b[k][n];
        }
        for (int quad = 0; quad < 4; quad++) {
            ProductThread &lane = product_thread(lanes[row % 8 * 4 + quad]);
            float *d = lane.values_of(lane.started[n_th].sums);
            for (int j = 0; j < width / 8; j++) {
                for (int c = 0; c < 2; c++) {
                    float &value = d[4 * j + row / 8 * 2 + c];
                    value = (product.accumulate ? value : 0.f) + sum[8 * j + quad * 2 + c];
                }
            }
        }
    }
}

inline bool same(const StartedProduct &x, const StartedProduct &y) {
    return x.group == y.group && x.compute == y.compute && x.a == y.a && x.b == y.b && x.accumulate == y.accumulate;
}

// Computes the warp's products of groups before this one, in order, and gives its threads their sums back.
inline void complete_products(long before_group) {
    Thread *threads = &block->threads[static_cast<size_t>(current->index / kWarp * kWarp)];
    ProductThread &first = product_thread(threads[0]);
    size_t count = 0;
    while (count < first.started.size() && first.started[count].group < before_group) count++;
    for (int lane = 1; lane < kWarp; lane++) {
        ProductThread &other = product_thread(threads[lane]);
        if (other.started.size() != first.started.size()) fail("lanes of a warp started different products");
        for (size_t i = 0; i < count; i++) {
            if (!same(first.started[i], other.started[i])) fail("lanes of a warp started different products");
        }
    }
    for (size_t i = 0; i < count; i++) first.started[i].compute(i);
    for (int lane = 0; lane < kWarp; lane++) {
        ProductThread &thread = product_thread(threads[lane]);
        thread.started.erase(thread.started.begin(), thread.started.begin() + static_cast<long>(count));
        std::erase_if(thread.in_flight, [&](const SumsInFlight &sums) {
            for (const StartedProduct &p : thread.started) {
                if (p.sums == sums.target) return false;
            }
            memcpy(sums.target, sums.values.data(), sums.values.size() * sizeof(float));
            return true;
        });
    }
}

inline void start_product(StartedProduct product, size_t sums) {
    if (current->index / dropless::kWarpgroup * dropless::kWarpgroup + dropless::kWarpgroup > static_cast<int>(block->threads.size())) {
        fail("product of a warpgroup that is not whole");
    }
    ProductThread &thread = product_thread(*current);
    product.group = thread.groups;
    if (thread.values_of(product.sums) == nullptr) {
        thread.in_flight.push_back({product.sums, std::vector<float>(product.sums, product.sums + sums)});
        std::fill_n(product.sums, sums, NAN);
    }
    thread.started.push_back(product);
}

inline void begin_products() {
    products.clear();
    for (const Block &b : cluster) products.emplace_back(b.threads.size());
}

inline void end_products() {
    if (!product_thread(*current).started.empty()) fail("a thread ends before its products");
}

}  // namespace emulator

namespace dropless {

template <class T, int width> struct WarpgroupProduct {
    template <int a_wide, int b_wide> static void start(float (&d)[width / 2], uint64_t a, uint64_t b, bool accumulate) {
        emulator::start_product({0, emulator::compute_product<T, width, a_wide, b_wide>, a, b, d, accumulate}, width / 2);
    }
};

inline void products_begin() {}
inline void products_commit() { emulator::product_thread(*emulator::current).groups++; }
template <int pending> void products_wait() {
    emulator::warp_operation(
        [](emulator::Lane *) {
            emulator::complete_products(emulator::product_thread(*emulator::current).groups - pending);
        },
        {});
}

}  // namespace dropless
