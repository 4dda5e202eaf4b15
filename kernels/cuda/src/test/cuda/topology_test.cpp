// Emulated test of topology.cu against plain loops: counts, offsets, permutation, tiles, pattern arrays.
//
// With --stdin it reads cases and prints the integers the kernels make, so that another program can compare them:
//   in:  slots topK numExperts maxRows blockSize ffnSize padded, then the ids
//   out: one line per array, its name and its values
#include "test_support.h"
#include "topology.cu"

#include <iostream>
#include <sstream>

using namespace dropless;
using namespace test;

struct Case {
    int top_k, experts, max_rows, block_size, ffn_size, padded;
    std::vector<int> ids;
    int64_t slots() const { return static_cast<int64_t>(ids.size()); }
};

// Results of the kernels.
struct Found {
    int64_t chunks, tiles_bound, blocks_bound, rows_bound, columns;
    Buffer<int> chunk_rows, bad_slot, status, offsets, slot_of_row, token_of_row, row_of_slot;
    Buffer<int> tile_count, tile_expert, tile_row, tile_rows;
    Buffer<int> first_block_row, counts, first_block, row_of, column_of, first_transposed, transposed_block, row_of_t, column_of_t;
    Buffer<int64_t> first_row, row_offset, column_offset, data_offset;

    explicit Found(const Case &c)
        : chunks((c.slots() + kChunkSlots - 1) / kChunkSlots), tiles_bound(c.slots() / c.max_rows + c.experts),
          blocks_bound((c.slots() / c.block_size + c.experts) * ((c.ffn_size + c.block_size - 1) / c.block_size)),
          rows_bound(c.slots() / c.block_size + c.experts + 1),
          columns(int64_t{c.experts} * ((c.ffn_size + c.block_size - 1) / c.block_size) + 1), chunk_rows(chunks * c.experts),
          bad_slot(chunks), status(1), offsets(c.experts + 1), slot_of_row(c.slots()), token_of_row(c.slots()),
          row_of_slot(c.slots()), tile_count(1), tile_expert(tiles_bound), tile_row(tiles_bound), tile_rows(tiles_bound),
          first_block_row(c.experts + 1), counts(3), first_block(rows_bound), row_of(blocks_bound), column_of(blocks_bound),
          first_transposed(columns), transposed_block(blocks_bound), row_of_t(blocks_bound), column_of_t(blocks_bound),
          first_row(c.experts + 1), row_offset(rows_bound), column_offset(columns), data_offset(blocks_bound + 1) {}
};

static void build(const Case &c, Found &f, uint64_t seed, unsigned grid) {
    Buffer<int> ids(c.slots());
    ids.assign(c.ids);
    TopologyArguments t{ids.data(), c.slots(), c.experts, c.top_k, f.chunk_rows.data(), f.bad_slot.data(), f.status.data(),
                        f.offsets.data(), f.slot_of_row.data(), f.token_of_row.data(), f.row_of_slot.data()};
    auto chunk_grid = static_cast<unsigned>(std::max<int64_t>(f.chunks, 1));
    size_t expert_bytes = static_cast<size_t>(c.experts) * sizeof(int);
    emulator::launch(dropless_topology_count, chunk_grid, 32, expert_bytes, t, seed);
    emulator::launch(dropless_topology_scan, 1, kScanThreads, sizeof(ScanShared), t, seed);
    emulator::launch(dropless_topology_place, chunk_grid, 32, expert_bytes, t, seed);
    TilePlanArguments p{f.offsets.data(), c.experts, c.max_rows, f.tile_count.data(), f.tile_expert.data(), f.tile_row.data(),
                        f.tile_rows.data()};
    emulator::launch(dropless_tile_plan, 1, kScanThreads, sizeof(TilePlanShared) + expert_bytes, p, seed);
    PatternArguments a{f.offsets.data(), c.experts, c.block_size, c.ffn_size, c.padded, f.first_block_row.data(), f.first_row.data(),
                       f.counts.data(), f.row_offset.data(), f.column_offset.data(), f.data_offset.data(), f.first_block.data(),
                       f.row_of.data(), f.column_of.data(), f.first_transposed.data(), f.transposed_block.data(), f.row_of_t.data(),
                       f.column_of_t.data()};
    emulator::launch(dropless_pattern_scan, 1, kScanThreads, sizeof(ScanShared), a, seed);
    emulator::launch(dropless_pattern_fill, grid, 256, 0, a, seed);
}

static void check_permutation(const Case &c, Found &f) {
    std::vector<int> offsets(static_cast<size_t>(c.experts) + 1), slot_of_row, token_of_row, row_of_slot(c.ids.size(), -1);
    int bad = -1;
    for (size_t s = 0; s < c.ids.size() && bad < 0; s++) {
        if (c.ids[s] < -1 || c.ids[s] >= c.experts) bad = static_cast<int>(s);
    }
    for (int e = 0; e < c.experts; e++) {
        offsets[static_cast<size_t>(e)] = static_cast<int>(slot_of_row.size());
        for (size_t s = 0; s < c.ids.size(); s++) {
            if (c.ids[s] != e) continue;
            row_of_slot[s] = static_cast<int>(slot_of_row.size());
            slot_of_row.push_back(static_cast<int>(s));
            token_of_row.push_back(static_cast<int>(s) / c.top_k);
        }
    }
    offsets.back() = static_cast<int>(slot_of_row.size());
    compare_integers("status", f.status, {bad});
    compare_integers("offsets", f.offsets, offsets);
    compare_integers("slot_of_row", f.slot_of_row, slot_of_row);
    compare_integers("token_of_row", f.token_of_row, token_of_row);
    compare_integers("row_of_slot", f.row_of_slot, row_of_slot);
}

static void check_tiles(const Case &c, Found &f) {
    struct Tile {
        int expert, row, rows;
    };
    std::vector<Tile> tiles;
    for (int e = 0; e < c.experts; e++) {
        for (int row = f.offsets[e]; row < f.offsets[e + 1]; row += c.max_rows) {
            tiles.push_back({e, row, std::min(c.max_rows, f.offsets[e + 1] - row)});
        }
    }
    std::stable_sort(tiles.begin(), tiles.end(), [](const Tile &x, const Tile &y) { return x.rows > y.rows; });
    std::vector<int> experts, rows, heights;
    for (const Tile &t : tiles) {
        experts.push_back(t.expert);
        rows.push_back(t.row);
        heights.push_back(t.rows);
    }
    compare_integers("tile_count", f.tile_count, {static_cast<int>(tiles.size())});
    compare_integers("tile_expert", f.tile_expert, experts);
    compare_integers("tile_row", f.tile_row, rows);
    compare_integers("tile_rows", f.tile_rows, heights);
}

// The pattern made the long way: stripe by stripe, block by block, and a sort for the transposed order.
static void check_pattern(const Case &c, Found &f) {
    std::vector<int64_t> row_offset, column_offset, data_offset;
    std::vector<int> first_block, row_of, column_of, expert_of_row;
    int64_t row = 0, data = 0;
    int q = (c.ffn_size + c.block_size - 1) / c.block_size;
    for (int e = 0; e < c.experts; e++) {
        for (int j = 0; j < q; j++) column_offset.push_back(int64_t{e} * c.ffn_size + int64_t{j} * c.block_size);
        int load = f.offsets[e + 1] - f.offsets[e];
        for (int i = 0; i < load; i += c.block_size) {
            int height = c.padded ? c.block_size : std::min(c.block_size, load - i);
            row_offset.push_back(row);
            first_block.push_back(static_cast<int>(row_of.size()));
            for (int j = 0; j < q; j++) {
                data_offset.push_back(data);
                row_of.push_back(static_cast<int>(row_offset.size()) - 1);
                column_of.push_back(e * q + j);
                data += int64_t{height} * std::min(c.block_size, c.ffn_size - j * c.block_size);
            }
            row += height;
        }
    }
    int blocks = static_cast<int>(row_of.size()), block_rows = static_cast<int>(row_offset.size());
    row_offset.push_back(row);
    column_offset.push_back(int64_t{c.experts} * c.ffn_size);
    data_offset.push_back(data);
    first_block.push_back(blocks);
    std::vector<int> transposed(static_cast<size_t>(blocks)), first_transposed, row_of_t, column_of_t;
    for (int z = 0; z < blocks; z++) transposed[static_cast<size_t>(z)] = z;
    std::stable_sort(transposed.begin(), transposed.end(), [&](int x, int y) {
        return column_of[static_cast<size_t>(x)] < column_of[static_cast<size_t>(y)];
    });
    for (int column = 0; column <= c.experts * q; column++) {
        first_transposed.push_back(
            static_cast<int>(std::count_if(column_of.begin(), column_of.end(), [&](int other) { return other < column; })));
    }
    for (int z : transposed) {
        row_of_t.push_back(row_of[static_cast<size_t>(z)]);
        column_of_t.push_back(column_of[static_cast<size_t>(z)]);
    }
    compare_integers("counts", f.counts, {block_rows, c.experts * q, blocks});
    compare_integers("row_offset", f.row_offset, row_offset);
    compare_integers("column_offset", f.column_offset, column_offset);
    compare_integers("data_offset", f.data_offset, data_offset);
    compare_integers("first_block", f.first_block, first_block);
    compare_integers("row_of", f.row_of, row_of);
    compare_integers("column_of", f.column_of, column_of);
    compare_integers("first_transposed", f.first_transposed, first_transposed);
    compare_integers("transposed_block", f.transposed_block, transposed);
    compare_integers("row_of_transposed", f.row_of_t, row_of_t);
    compare_integers("column_of_transposed", f.column_of_t, column_of_t);
}

static Case random_case(Random &random) {
    Case c;
    c.experts = random.of({1, 3, 8, 64, 130, 1100});
    c.top_k = random.of({1, 2, std::min(8, c.experts)});
    c.max_rows = random.of({1, 10, 128});
    c.block_size = random.of({1, 8, 16, 128});
    c.ffn_size = random.of({1, 24, 128, 200});
    c.padded = random.flip();
    int tokens = random.of({0, 1, 7, 130, 1500});
    int style = random.below(5), hot = random.below(c.experts);
    for (int i = 0; i < tokens * c.top_k; i++) {
        int id = random.below(c.experts);
        if (style == 1) id = hot;
        if (style == 2) id = std::min(id, random.below(c.experts));  // skewed
        if (style == 3 && id % 4 == 0) id = -1;                      // holes and unassigned slots
        if (style == 4 && random.below(300) == 0) id = random.of({-2, c.experts});
        c.ids.push_back(id);
    }
    return c;
}

static void print(const char *name, auto &buffer, int64_t count) {
    std::cout << name;
    for (int64_t i = 0; i < count; i++) std::cout << ' ' << buffer[i];
    std::cout << '\n';
}

static void print_case(const Case &c) {
    Found f(c);
    build(c, f, 1, 2);
    int rows = f.offsets[c.experts], tiles = f.tile_count[0], blocks = f.counts[2];
    print("offsets", f.offsets, c.experts + 1);
    print("slotOfRow", f.slot_of_row, rows);
    print("tokenOfRow", f.token_of_row, rows);
    print("rowOfSlot", f.row_of_slot, c.slots());
    print("tileExpert", f.tile_expert, tiles);
    print("tileRow", f.tile_row, tiles);
    print("tileRows", f.tile_rows, tiles);
    print("rowOffset", f.row_offset, f.counts[0] + 1);
    print("columnOffset", f.column_offset, f.counts[1] + 1);
    print("dataOffset", f.data_offset, blocks + 1);
    print("firstBlock", f.first_block, f.counts[0] + 1);
    print("rowOf", f.row_of, blocks);
    print("columnOf", f.column_of, blocks);
    print("firstTransposed", f.first_transposed, f.counts[1] + 1);
    print("transposedBlock", f.transposed_block, blocks);
    print("rowOfTransposed", f.row_of_t, blocks);
    print("columnOfTransposed", f.column_of_t, blocks);
}

int main(int argc, char **argv) {
    if (argc == 2 && std::string(argv[1]) == "--stdin") {
        size_t slots;
        for (Case c; std::cin >> slots >> c.top_k >> c.experts >> c.max_rows >> c.block_size >> c.ffn_size >> c.padded;) {
            c.ids.resize(slots);
            for (int &id : c.ids) std::cin >> id;
            print_case(c);
        }
        return 0;
    }
    return run_seeds(argc, argv, 24, [](uint64_t seed) {
        Random random(seed);
        Case c = random_case(random);
        Found f(c);
        build(c, f, seed, static_cast<unsigned>(random.between(1, 4)));
        check_permutation(c, f);
        if (mismatches > 0) return;  // what follows takes the offsets for right
        check_tiles(c, f);
        check_pattern(c, f);
    });
}
