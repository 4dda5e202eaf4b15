// The machine of hopper.cuh on the fibers of emulator.h: clusters, barriers, boxes copied to and from swizzled shared memory, what the two proxies
// know of each other. hopper_products.h has the products of warpgroups.
//
// Copies of boxes are performed at random moments, in random order, or when nothing else can go on; stores of boxes as late as their wait
// allows, at times sooner. A byte that a thread wrote is noted until the thread executes fence.proxy.async: reading it by the copy engine
// or by a product before that is an error, as are arrivals at a barrier beyond its count, barriers that were not initialised, boxes beyond
// shared memory, misaligned addresses, and threads that end before their stores have read their boxes. Descriptors and tensor maps are
// read as the hardware would, but for the layout of a tensor map, which is secret: here it holds its fields.
#pragma once

#include <algorithm>
#include <unordered_map>

#include "hopper.cuh"

namespace emulator {

constexpr unsigned kRankBit = 24;  // shared addresses are offsets into a block's memory, with its rank from this bit on
constexpr size_t kGranule = 16;    // bytes whose last writer is noted together

struct BarrierState {
    int count = 0, pending = 0;
    long bytes = 0;
    unsigned phase = 0;
};

struct BoxStore {
    long group;
    dropless::TensorMapFields map;
    unsigned box;
    int column, row;
};

struct PartBarrier {
    int arrived = 0;
    unsigned generation = 0;
};

struct HopperThread {
    std::vector<BoxStore> stores;
    long store_groups = 0;
    std::vector<unsigned> unfenced;  // granules
    std::vector<const dropless::TensorMap *> maps;  // that were acquired
};

struct HopperBlock {
    std::unordered_map<unsigned, BarrierState> barriers;
    std::vector<int> writer;  // by granule: the thread whose write is not fenced, or -1
    std::vector<HopperThread> threads;
    PartBarrier parts[16];
};

inline std::vector<HopperBlock> hopper;
inline std::vector<std::function<void()>> transfers;
inline PartBarrier cluster_meeting;

inline HopperBlock &own_block() { return hopper[block->rank]; }
inline HopperThread &own_thread() { return own_block().threads[static_cast<size_t>(current->index)]; }

inline unsigned address_of(const void *p) {
    auto offset = static_cast<const char *>(p) - block->shared;
    if (offset < 0 || static_cast<size_t>(offset) >= block->shared_bytes) fail("not an address of shared memory");
    return block->rank << kRankBit | static_cast<unsigned>(offset);
}

inline char *shared_bytes(unsigned address, size_t bytes) {
    Block &of = cluster.at(address >> kRankBit);
    size_t offset = address & ((1u << kRankBit) - 1);
    if (offset + bytes > of.shared_bytes) fail("outside of shared memory");
    return of.shared + offset;
}

inline unsigned swizzle(unsigned address) { return address ^ (address >> 7 & 7) << 4; }

// ---- proxies

inline void note_write(const void *p, size_t bytes) {
    unsigned from = (address_of(p) & ((1u << kRankBit) - 1)) / kGranule;
    for (unsigned g = from; g * kGranule < from * kGranule + bytes; g++) {
        own_block().writer[g] = current->index;
        own_thread().unfenced.push_back(g);
    }
}

// cp.async has written, on behalf of a thread; only once the thread has waited for it a fence counts.
inline void note_copy(const Thread &thread, const void *target, bool waited) {
    auto g = static_cast<unsigned>(static_cast<const char *>(target) - thread.block->shared) / static_cast<unsigned>(kGranule);
    HopperBlock &of = hopper[thread.block->rank];
    of.writer[g] = thread.index;
    if (waited) of.threads[static_cast<size_t>(thread.index)].unfenced.push_back(g);
}

inline void forget_write(unsigned address) {
    hopper[address >> kRankBit].writer[(address & ((1u << kRankBit) - 1)) / kGranule] = -1;
}

inline void check_fenced(unsigned address) {
    if (hopper[address >> kRankBit].writer[(address & ((1u << kRankBit) - 1)) / kGranule] >= 0) {
        fail("asynchronous read of what a thread wrote without fence.proxy.async");
    }
}

inline void fence_writes() {
    HopperThread &thread = own_thread();
    for (unsigned g : thread.unfenced) {
        if (own_block().writer[g] == current->index) own_block().writer[g] = -1;
    }
    thread.unfenced.clear();
}

// ---- barriers

inline BarrierState &barrier_at(unsigned address) {
    auto &barriers = hopper[address >> kRankBit].barriers;
    auto found = barriers.find(address);
    if (found == barriers.end()) fail("barrier was not initialised");
    return found->second;
}

inline void end_phase_if_complete(BarrierState &barrier) {
    if (barrier.pending > 0 || barrier.bytes != 0) return;
    barrier.phase++;
    barrier.pending = barrier.count;
}

inline void arrive(unsigned address, long expected_bytes) {
    BarrierState &barrier = barrier_at(address);
    if (barrier.pending == 0) fail("more arrivals at a barrier than it counts");
    barrier.bytes += expected_bytes;
    barrier.pending--;
    end_phase_if_complete(barrier);
}

inline void complete_bytes(unsigned address, long bytes) {
    BarrierState &barrier = barrier_at(address);
    barrier.bytes -= bytes;
    if (std::labs(barrier.bytes) >= 1 << 20) fail("bytes of a barrier out of range");
    end_phase_if_complete(barrier);
}

inline void meet(PartBarrier &barrier, int threads) {
    if (++barrier.arrived == threads) {
        barrier.arrived = 0;
        barrier.generation++;
        return;
    }
    wait_until({[](const void *b, uint64_t old) { return static_cast<const PartBarrier *>(b)->generation != old; }, &barrier,
                barrier.generation});
}

// ---- boxes

constexpr uint64_t kMapMark = 0x70616d726f736e74;

inline dropless::TensorMapFields fields_of(const dropless::TensorMap *map) {
    dropless::TensorMapFields fields;
    if (reinterpret_cast<uintptr_t>(map) % alignof(dropless::TensorMap) != 0) fail("tensor map is not aligned");
    if (map->word[15] != kMapMark) fail("not a tensor map");
    const auto &acquired = own_thread().maps;
    if (std::find(acquired.begin(), acquired.end(), map) == acquired.end()) fail("use of a tensor map that was not acquired");
    memcpy(&fields, map->word, sizeof fields);
    return fields;
}

inline void check_map(const dropless::TensorMapFields &f) {
    if (reinterpret_cast<uintptr_t>(f.data) % 16 != 0 || f.row_bytes % 16 != 0) fail("tensor map: not aligned to 16 bytes");
    if (f.columns < 1 || f.rows < 1 || f.columns >> 32 != 0 || f.rows >> 32 != 0) fail("tensor map: bad size");
    if (f.box_columns < 1 || f.box_columns > dropless::kBoxColumns || f.box_rows < 1 || f.box_rows > 256) fail("tensor map: bad box");
    if (f.type != dropless::kBf16 && f.type != dropless::kF16) fail("tensor map: bad type");
}

// Calls visit(shared address, global address or null where outside) for each chunk of eight elements or what is left of it, with its bytes.
template <class Visit>
void for_each_chunk(const dropless::TensorMapFields &f, unsigned box, int column, int row, Visit visit) {
    for (int64_t r = 0; r < f.box_rows; r++) {
        for (int64_t c = 0; c < f.box_columns; c += 8) {
            int64_t y = row + r, x = column + c;
            int64_t inside = y < 0 || y >= f.rows || x < 0 ? 0 : std::min<int64_t>({8, f.columns - x, f.box_columns - c});
            char *global = static_cast<char *>(f.data) + y * f.row_bytes + x * 2;
            visit(swizzle(box + static_cast<unsigned>(r * dropless::kSwizzleBytes + c * 2)), global,
                  static_cast<size_t>(std::max<int64_t>(inside, 0)) * 2);
        }
    }
}

inline void check_box(unsigned box, const dropless::TensorMapFields &f) {
    if (box % dropless::kSwizzlePattern != 0) fail("box is not aligned to the swizzle pattern");
    shared_bytes(box, static_cast<size_t>(f.box_rows) * dropless::kSwizzleBytes);
}

inline void perform_load(const dropless::TensorMapFields &f, unsigned box, unsigned barrier, int column, int row) {
    for_each_chunk(f, box, column, row, [](unsigned shared, const char *global, size_t bytes) {
        char *target = shared_bytes(shared, 16);
        if (bytes > 0) memcpy(target, global, bytes);
        if (bytes < 16) memset(target + bytes, 0, 16 - bytes);
        forget_write(shared);
    });
    complete_bytes(barrier, f.box_rows * f.box_columns * 2);
}

inline void start_load(void *box, const dropless::TensorMap *map, const void *barrier, int column, int row, unsigned blocks) {
    dropless::TensorMapFields f = fields_of(map);
    unsigned offset = (1u << kRankBit) - 1, to = address_of(box) & offset, at = address_of(barrier) & offset;
    if (column % 8 != 0) fail("load of a box: column is not a multiple of 8");
    for (unsigned rank = 0; rank < 16; rank++) {
        if ((blocks >> rank & 1) == 0) continue;
        if (rank >= cluster.size()) fail("load of a box to a block that is not there");
        unsigned target = rank << kRankBit;
        check_box(target | to, f);
        transfers.push_back([=] { perform_load(f, target | to, target | at, column, row); });
    }
}

inline void perform_store(const BoxStore &store) {
    for_each_chunk(store.map, store.box, store.column, store.row, [](unsigned shared, char *global, size_t bytes) {
        if (bytes == 0) return;
        check_fenced(shared);
        memcpy(global, shared_bytes(shared, 16), bytes);
    });
}

inline void perform_stores(HopperThread &thread, long before_group) {
    for (BoxStore &store : thread.stores) {
        if (store.group < before_group) perform_store(store);
    }
    std::erase_if(thread.stores, [=](const BoxStore &store) { return store.group < before_group; });
}

inline bool proceed() {
    if (random_engine() % 8 == 0) {  // a store need not be late
        HopperBlock &any = hopper[random_engine() % hopper.size()];
        for (HopperThread &thread : any.threads) perform_stores(thread, thread.store_groups);
    }
    if (transfers.empty()) return false;
    std::swap(transfers[random_engine() % transfers.size()], transfers.back());
    auto transfer = std::move(transfers.back());
    transfers.pop_back();
    transfer();
    return true;
}

void begin_products();
void end_products();

inline void begin_cluster() {
    hopper = std::vector<HopperBlock>(cluster.size());
    for (size_t i = 0; i < cluster.size(); i++) {
        hopper[i].writer.assign(cluster[i].shared_bytes / kGranule + 1, -1);
        hopper[i].threads.resize(cluster[i].threads.size());
    }
    transfers.clear();
    cluster_meeting = PartBarrier();
    begin_products();
}

inline void end_thread() {
    end_products();
    if (!own_thread().stores.empty()) fail("a thread ends before its stores have read their boxes");
}

inline const bool registered = [] {
    hooks = {begin_cluster, end_thread, proceed, note_copy};
    return true;
}();

}  // namespace emulator

#define ALIGNED_SHARED_MEMORY(Type, name)                                                                                    \
    emulator::check_aligned(emulator::block->shared, alignof(Type), "shared memory is less aligned than what lies in it"); \
    SHARED_MEMORY(Type, name)

namespace dropless {

inline unsigned shared_address(const void *p) { return emulator::address_of(p); }

inline unsigned cluster_rank() { return emulator::block->rank; }
inline unsigned cluster_size() { return static_cast<unsigned>(emulator::cluster.size()); }
inline void cluster_barrier() {
    int threads = 0;
    for (const emulator::Block &b : emulator::cluster) threads += static_cast<int>(b.threads.size());
    emulator::meet(emulator::cluster_meeting, threads);
}

inline void wait_for_earlier_launches() {}
inline void let_later_launches_start() {}

inline void barrier_init(Barrier *barrier, int arrivals) {
    emulator::check_aligned(barrier, 8, "barrier is not aligned");
    emulator::own_block().barriers[emulator::address_of(barrier)] = {arrivals, arrivals, 0, 0};
}
inline void fence_barrier_init() {}
inline void barrier_arrive(Barrier *barrier) { emulator::arrive(emulator::address_of(barrier), 0); }
inline void barrier_arrive(Barrier *barrier, unsigned rank) {
    unsigned offset = emulator::address_of(barrier) & ((1u << emulator::kRankBit) - 1);
    emulator::arrive(rank << emulator::kRankBit | offset, 0);
}
inline void barrier_arrive_expecting(Barrier *barrier, unsigned bytes) { emulator::arrive(emulator::address_of(barrier), bytes); }
inline void barrier_wait(Barrier *barrier, unsigned parity) {
    emulator::wait_until({[](const void *b, uint64_t p) { return (static_cast<const emulator::BarrierState *>(b)->phase & 1) != p; },
                          &emulator::barrier_at(emulator::address_of(barrier)), parity});
}
inline void part_barrier(int id, int threads) {
    if (id < 1 || id > 15) emulator::fail("no such barrier");
    emulator::meet(emulator::own_block().parts[id], threads);
}

inline void fence_async_proxy() { emulator::fence_writes(); }
inline void acquire_tensor_map(const TensorMap *map) { emulator::own_thread().maps.push_back(map); }
inline void load_box(void *box, const TensorMap *map, Barrier *barrier, int column, int row) {
    emulator::start_load(box, map, barrier, column, row, 1u << cluster_rank());
}
inline void load_box(void *box, const TensorMap *map, Barrier *barrier, int column, int row, uint16_t blocks) {
    emulator::start_load(box, map, barrier, column, row, blocks);
}
inline void store_box(const TensorMap *map, const void *box, int column, int row) {
    emulator::HopperThread &thread = emulator::own_thread();
    emulator::BoxStore store{thread.store_groups, emulator::fields_of(map), emulator::address_of(box), column, row};
    emulator::check_box(store.box, store.map);
    thread.stores.push_back(store);
}
inline void store_commit() { emulator::own_thread().store_groups++; }
template <int pending> void store_wait_read() {
    emulator::HopperThread &thread = emulator::own_thread();
    emulator::perform_stores(thread, thread.store_groups - pending);
}

inline void store_matrices_of_warp(emulator::Lane *lanes) {
    for (int m = 0; m < 4; m++) {
        for (int lane = 0; lane < emulator::kWarp; lane++) {
            char *row = static_cast<char *>(lanes[m * 8 + lane / 4].out);
            memcpy(row + lane % 4 * 4, static_cast<const unsigned *>(lanes[lane].in) + m, 4);
        }
    }
}
inline void store_matrices(void *row, unsigned d0, unsigned d1, unsigned d2, unsigned d3) {
    emulator::check_aligned(row, 16, "stmatrix: row address is not aligned");
    unsigned d[4] = {d0, d1, d2, d3};
    emulator::warp_operation(store_matrices_of_warp, {d, row, 0});
    emulator::note_write(row, 16);
}
inline void store_zero_16(void *chunk) {
    emulator::check_aligned(chunk, 16, "store of 16 bytes is not aligned");
    memset(chunk, 0, 16);
    emulator::note_write(chunk, 16);
}

template <class T> void store_chunk(void *chunk, const Pack<T> &pack) {
    emulator::check_aligned(chunk, 16, "store of 16 bytes is not aligned");
    memcpy(chunk, &pack, sizeof pack);
    emulator::note_write(chunk, 16);
}

template <int registers> void give_registers() { static_assert(registers % 8 == 0 && registers >= 24 && registers <= 256); }
template <int registers> void take_registers() { static_assert(registers % 8 == 0 && registers >= 24 && registers <= 256); }

inline void write_tensor_map(TensorMap *shared, const TensorMapFields &fields) {
    emulator::check_map(fields);
    memcpy(shared->word, &fields, sizeof fields);
    shared->word[15] = emulator::kMapMark;
}
inline void publish_tensor_map(TensorMap *map, const TensorMap *shared) {
    __syncwarp();
    if (emulator::current->index % emulator::kWarp == 0) *map = *shared;
    __syncwarp();
}

template <class T> unsigned pack_pair(float low, float high) {
    T pair[2] = {from_float<T>(low), from_float<T>(high)};
    unsigned bits;
    memcpy(&bits, pair, sizeof bits);
    return bits;
}

}  // namespace dropless

#include "hopper_products.h"
