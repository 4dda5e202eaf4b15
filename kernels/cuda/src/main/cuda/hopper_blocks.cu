// Products of dense (D) and block-sparse (S) matrices on Hopper, in any transposition, with the dense product beside them; names and formulas as
// in block_sparse.cu.
//
//   dense   C (+)= op(A) op(B)
//   sdd     S = op(A) op(B), the stored blocks only
//   dsd     C (+)= op(S) op(B)
//   dds     C (+)= op(A) op(S), computed as the transpose of op(S)^T op(A)^T: the sparse operand comes first, and both are transposed
//
// Tiles are 128 x 256. Of SDD that is two blocks of 128 x 128 of one block row, whose columns need not adjoin; larger blocks are cut into such.
// The two blocks of a cluster take neighbouring stripes of the sparse matrix and share the boxes of the second operand where they need the
// same, as the stripes of one expert do. The sum of a DSD tile runs over the blocks of its stripe; where their heights are ragged, or the block
// size is no multiple of 64, the rest of a stage is cleared.
//
// Results that are overwritten and of the kernel's type leave in boxes, where there is a map for them; others in runs of fp32.
//
// The block size is at most 128 or a multiple of 128, and a multiple of 8; all block columns are that wide; the data of the sparse matrix are a matrix
// of rows of one block's width for the copy engine. Where rows of a dense operand go on across block rows (SDD: kernels tn and
// tt; DSD and DDS: tt), these begin at multiples of 8. Everything else is for block_sparse.cu.
//
// Names: dropless_hopper_blocks_<nn|nt|tn|tt>_<bf16|f16>: transpositions of the operands as they come, type of both; C has any type. Launch: see
// hopper_tile.cuh; useful clusters are ceil(rows of tiles / blocks of a cluster) * columns of tiles:
//   dense  ceil(rows / 128), ceil(columns / 256);  dsd, dds  stripes * max(1, B / 128), ceil(dense columns / 256);
//   sdd    block rows * max(1, B / 128), ceil(most blocks of a block row * max(1, B / 128) / 2).
#include "hopper_runs.cuh"
#include "hopper_tails.cuh"
#include "pattern.cuh"

namespace dropless {

struct HopperBlocksArguments {
    int64_t kind;               // ProductKind
    const TensorMap *a, *b;     // boxes of 64 x 128 where the summed dimension is contiguous, else 64 x 64; of a sparse a: its data as [*, B]
    Matrix c;                   // any type; of SDD the data of the blocks
    const TensorMap *c_map;     // box 64 x 64, of SDD [*, B]: where C is overwritten, of the kernel's type and not of DDS. Else null
    int64_t rows, columns, depth;  // of the product as computed; those that a pattern has are not read
    int64_t accumulate;         // not for SDD
    int64_t ragged;             // whether block rows may be lower than B
    int64_t most_blocks;        // of a block row, for SDD
    int64_t group;              // of tiles of rows that are taken together
    Pattern pattern;
};

// 128 columns of a block row: part of a block, or nothing.
struct BlockPart {
    int columns = 0;   // that are stored
    int column = 0;    // first, in the dense operand
    int data_row = 0;  // first row and column, of the block row's tile, in the data as a matrix [*, B]
    int inner = 0;
};

struct BlocksTile {
    int rows;            // that are stored
    int row, column;     // of the result as computed; of SDD column counts parts of the block row
    int row_tile;        // of a sparse matrix
    int inner_row;       // in a block
    int step_count;
    bool shares_columns; // unless it depends on the step
    // DSD: positions of the blocks of this stripe, and of that of the other block of the cluster.
    int first, last, other_first, other_last;
    // SDD: where both halves of the tile's columns begin in the dense operand.
    int left_half, right_half;
};

// One stage of a DSD tile.
struct BlockStep {
    int block;    // -1: this block's stripe has ended
    int inner;    // of the summed dimension, in the block
    int first;    // of the summed dimension, in the dense operand
    bool shares;  // both blocks of the cluster need the same rows of B
};

// Where things are: what loading, multiplying and writing all ask.
struct BlocksGeometry {
    const HopperBlocksArguments &args;

    __device__ __forceinline__ int parts_per_side() const {
        return args.pattern.block_size > kTile ? static_cast<int>(args.pattern.block_size) / kTile : 1;
    }

    // The n-th part of the block row of a row tile.
    __device__ __forceinline__ BlockPart part(int row_tile, int row_tiles, int n) const {
        const Pattern &p = args.pattern;
        BlockPart part;
        if (row_tile >= row_tiles) return part;
        int row = row_tile / parts_per_side(), block = p.first_block[row] + n / parts_per_side();
        if (block >= p.first_block[row + 1]) return part;
        int column = p.column_of[block];
        int inner_row = row_tile % parts_per_side() * kTile, inner = n % parts_per_side() * kTile;
        part.columns = clamp_count(p.block_size - inner, kTile);
        part.column = static_cast<int>(p.column_offset[column]) + inner;
        part.data_row = data_row(block) + inner_row;
        part.inner = inner;
        return part;
    }

    // First row of a block in the data. Offsets and block sizes are multiples of 8, and rows fit into 31 bits.
    __device__ __forceinline__ int data_row(int block) const {
        return static_cast<int>(static_cast<unsigned>(args.pattern.data_offset[block] >> 3) / static_cast<unsigned>(args.pattern.block_size >> 3));
    }
};

// Where runs of a tile go, and sums are added to what is there. Along rows, or, for a transposed product, along columns.
template <bool transposed> struct BlocksWriter {
    static constexpr bool kTransposed = transposed;
    static constexpr int kAhead = 1;
    const HopperBlocksArguments &args;
    const BlocksTile &tile;

    struct Fetched {
        float old[kRun];
    };

    __device__ __forceinline__ int place(int row, int column, int64_t &index) const {
        if (!stores_row(row, tile.rows)) return 0;
        int64_t r = tile.row + row, c = tile.column + column;
        if (transposed) {
            index = c * args.c.stride + r;
            return c < args.columns ? clamp_count(tile.rows - row, kRun) : 0;
        }
        index = r * args.c.stride + c;
        return clamp_count(args.columns - c, kRun);
    }

    __device__ __forceinline__ Fetched fetch(int row, int column) const {
        Fetched f{};
        int64_t index;
        if (!args.accumulate) return f;
        int count = place(row, column, index);
        if (count > 0) load_run(args.c.data, args.c.type, index, count, f.old);
        return f;
    }

    __device__ __forceinline__ void run(int row, int column, float (&v)[kRun], const Fetched &f) const {
        int64_t index;
        int count = place(row, column, index);
        if (count == 0) return;
        if (args.accumulate) {
#pragma unroll
            for (int i = 0; i < kRun; i++) v[i] += f.old[i];
        }
        store_run(args.c.data, args.c.type, index, count, v);
    }
};

// Stores the two blocks, or parts of blocks, of an SDD tile.
struct PartsWriter {
    static constexpr bool kTransposed = false;
    static constexpr int kAhead = 1;
    const HopperBlocksArguments &args;
    const BlocksTile &tile;
    BlockPart left, right;

    struct Fetched {};

    __device__ __forceinline__ Fetched fetch(int, int) const { return {}; }

    __device__ __forceinline__ void run(int row, int column, float (&v)[kRun], const Fetched &) const {
        bool second = column >= kTile;
        int in_part = column % kTile;
        int count = clamp_count((second ? right.columns : left.columns) - in_part, kRun);
        if (count == 0 || !stores_row(row, tile.rows)) return;
        int64_t data_row = (second ? right.data_row : left.data_row) + row;
        int64_t index = data_row * args.pattern.block_size + (second ? right.inner : left.inner) + in_part;
        store_run(args.c.data, args.c.type, index, count, v);
    }
};

// One thread copies boxes, and looks up many things on the way.
template <class T, Layout a, Layout b> struct BlocksEngine : HopperEngine<T, a, b> {
    static constexpr int kBoxRegisters = 72, kBoxProductRegisters = 216;
};

template <class Engine> struct HopperBlocksJob : BlocksGeometry {
    static constexpr bool kGathers = false, kPrepares = true;
    static constexpr bool kByBlockRow = Engine::kLayoutA == Layout::kDepthMajor;  // whether stripes of DSD are block rows

    __device__ explicit HopperBlocksJob(const HopperBlocksArguments &a) : BlocksGeometry{a} {}

    __device__ __forceinline__ void acquire_maps() const {
        acquire_tensor_map(args.a);
        acquire_tensor_map(args.b);
        if (args.c_map != nullptr) acquire_tensor_map(args.c_map);
    }

    __device__ __forceinline__ bool sparse_first() const { return args.kind == kDsd || args.kind == kDds; }
    __device__ __forceinline__ bool by_block_row() const { return args.kind == kSdd || kByBlockRow; }
    __device__ __forceinline__ int block_size() const { return static_cast<int>(args.pattern.block_size); }
    __device__ __forceinline__ int stages_per_block() const { return (block_size() + Engine::kDepth - 1) / Engine::kDepth; }
    __device__ __forceinline__ int dense_steps() const { return static_cast<int>(ceil_div(args.depth, Engine::kDepth)); }

    __device__ __forceinline__ int row_tiles() const {
        if (args.kind == kDense) return static_cast<int>(ceil_div(args.rows, kTile));
        return args.pattern.counts[by_block_row() ? 0 : 1] * parts_per_side();
    }
    __device__ __forceinline__ int64_t row_steps() const { return ceil_div(row_tiles(), cluster_size()); }
    __device__ __forceinline__ int64_t column_tiles() const {
        return args.kind == kSdd ? ceil_div(args.most_blocks * parts_per_side(), 2) : ceil_div(args.columns, Engine::kColumns);
    }
    __device__ __forceinline__ int64_t tiles() const { return row_steps() * column_tiles(); }

    __device__ __forceinline__ BlocksTile tile(int64_t n, unsigned rank) const {
        TileOrder order(n, row_steps(), column_tiles(), args.group);
        BlocksTile tile{};
        int pair = static_cast<int>(order.row * cluster_size()), own = pair + static_cast<int>(rank);
        int other = cluster_size() == 2 ? own ^ 1 : row_tiles();
        tile.column = static_cast<int>(order.column) * (args.kind == kSdd ? 2 : Engine::kColumns);
        if (args.kind == kDense) {
            tile.row = own * kTile;
            tile.rows = clamp_count(args.rows - tile.row, kTile);
            tile.step_count = dense_steps();
            tile.shares_columns = cluster_size() == 2;
            return tile;
        }
        tile.row_tile = own;
        if (own < row_tiles()) {
            int stripe = own / parts_per_side();
            const int64_t *offset = by_block_row() ? args.pattern.row_offset : args.pattern.column_offset;
            tile.inner_row = own % parts_per_side() * kTile;
            tile.row = static_cast<int>(offset[stripe]) + tile.inner_row;
            tile.rows = clamp_count(offset[stripe + 1] - tile.row, kTile);
        }
        if (args.kind == kSdd) {
            choose_parts(own, other, tile);
        } else {
            choose_blocks(own, tile.first, tile.last);
            choose_blocks(other, tile.other_first, tile.other_last);
            int count = tile.last - tile.first, other_count = tile.other_last - tile.other_first;
            tile.step_count = (count > other_count ? count : other_count) * stages_per_block();
        }
        return tile;
    }

    // A block without a part helps its partner, with the columns that the partner has.
    __device__ __forceinline__ void choose_parts(int own, int other, BlocksTile &tile) const {
        BlockPart left = part(own, row_tiles(), tile.column), right = part(own, row_tiles(), tile.column + 1);
        BlockPart other_left = part(other, row_tiles(), tile.column), other_right = part(other, row_tiles(), tile.column + 1);
        bool same = left.columns == 0 || other_left.columns == 0 || left.column == other_left.column;
        same = same && (right.columns == 0 || other_right.columns == 0 || right.column == other_right.column);
        tile.left_half = left.columns > 0 ? left.column : other_left.column;
        tile.right_half = right.columns > 0 ? right.column : other_right.column;
        tile.shares_columns = cluster_size() == 2 && same;
        tile.step_count = left.columns > 0 || other_left.columns > 0 ? dense_steps() : 0;
        if (left.columns == 0) tile.rows = 0;
    }

    __device__ __forceinline__ void choose_blocks(int row_tile, int &from, int &to) const {
        from = to = 0;
        if (row_tile >= row_tiles()) return;
        const int *first = (kByBlockRow ? args.pattern.first_block : args.pattern.first_transposed) + row_tile / parts_per_side();
        from = first[0];
        to = first[1];
    }

    static __device__ __forceinline__ int at_position(const Pattern &pattern, int position, int last) {
        if (position >= last) return -1;
        return kByBlockRow ? position : pattern.transposed_block[position];
    }

    __device__ __forceinline__ BlockStep block_step(const BlocksTile &tile, int step) const {
        const Pattern &p = args.pattern;
        int i = step / stages_per_block(), block = at_position(p, tile.first + i, tile.last);
        BlockStep s{block, step % stages_per_block() * Engine::kDepth, 0, false};
        if (block < 0) return s;
        const int *stripe_of = kByBlockRow ? p.column_of : p.row_of;
        int stripe = stripe_of[block], other = at_position(p, tile.other_first + i, tile.other_last);
        s.first = static_cast<int>((kByBlockRow ? p.column_offset : p.row_offset)[stripe]) + s.inner;
        s.shares = other >= 0 && stripe_of[other] == stripe;
        return s;
    }

    __device__ __forceinline__ int steps(const BlocksTile &tile) const { return tile.step_count; }

    __device__ __forceinline__ void load(const BlocksTile &tile, int step, const Stage &stage) const {
        if (sparse_first()) {
            load_block(tile, step, stage);
            return;
        }
        int depth = step * Engine::kDepth;
        expect(stage, (tile.rows > 0 ? Engine::kBytesA : 0) + Engine::kBytesB);
        if (tile.rows > 0) load_a<Engine>(stage, args.a, tile.row, depth);
        if (args.kind == kDense) {
            load_b<Engine>(stage, args.b, tile.shares_columns, tile.column, depth);
        } else {
            load_halves(tile, depth, stage);
        }
    }

    __device__ __forceinline__ void load_block(const BlocksTile &tile, int step, const Stage &stage) const {
        BlockStep s = block_step(tile, step);
        if (s.block < 0) {
            expect(stage, 0);
            return;
        }
        expect(stage, Engine::kBytesA + Engine::kBytesB);
        int row = data_row(s.block);
        if constexpr (kByBlockRow) {
            load_a<Engine>(stage, args.a, row + tile.inner_row, s.inner);
        } else {
            load_a<Engine>(stage, args.a, tile.inner_row, row + s.inner);
        }
        load_b<Engine>(stage, args.b, s.shares, tile.column, s.first);
    }

    // The halves of B are 128 columns each, wherever they are.
    __device__ __forceinline__ void load_halves(const BlocksTile &tile, int depth, const Stage &stage) const {
        if constexpr (Engine::kLayoutB == Layout::kDepthMajor) {
            load_b_rows<Engine>(stage, args.b, tile.shares_columns, depth,
                                [&](int i) { return i == 0 ? tile.left_half : tile.right_half; });
        } else {
            for_own_boxes<Engine, 4>(stage, tile.shares_columns, [&](int i, unsigned char *box, bool for_both) {
                int column = (i < 2 ? tile.left_half : tile.right_half) + i % 2 * kBoxColumns;
                load_box(box, args.b, stage, column, depth, for_both);
            });
        }
    }

    // How much of the summed dimension a stage of a block has; the operands of other products end in zeros.
    __device__ __forceinline__ int left(const BlocksTile &tile, int step) const {
        if (!sparse_first()) return kBoxColumns;
        int inner = step % stages_per_block() * Engine::kDepth, position = tile.first + step / stages_per_block();
        if (position >= tile.last) return 0;
        int height = block_size();
        if (!kByBlockRow && args.ragged) {
            int row = args.pattern.row_of[args.pattern.transposed_block[position]];
            height = static_cast<int>(args.pattern.row_offset[row + 1] - args.pattern.row_offset[row]);
        }
        return clamp_count(height - inner, kBoxColumns);
    }

    __device__ __forceinline__ void prepare(const BlocksTile &tile, int step, const Stage &stage) const {
        clear_tails<Engine, true>(stage, left(tile, step));
    }

    __device__ __forceinline__ BlockPart left_part(const BlocksTile &tile) const {
        return part(tile.row_tile, row_tiles(), tile.column);
    }
    __device__ __forceinline__ BlockPart right_part(const BlocksTile &tile) const {
        return part(tile.row_tile, row_tiles(), tile.column + 1);
    }

    // Sums that are only rounded: 64 columns at a time, by the copy engine.
    __device__ __forceinline__ void write_boxes(
        const BlocksTile &tile, const float (&sums)[Engine::kSums], Staging &staging) const {
        int above = staging.warpgroup * kWarpgroupRows;
        BlockPart left, right;
        if (args.kind == kSdd) {
            left = left_part(tile);
            right = right_part(tile);
        }
#pragma unroll
        for (int box = 0; box < Engine::kColumns / kBoxColumns; box++) {
            Matrix to = args.c;
            int64_t columns = args.columns, column = tile.column + box * kBoxColumns, row = tile.row;
            if (args.kind == kSdd) {
                const BlockPart &part = box < 2 ? left : right;
                to.stride = args.pattern.block_size;
                columns = part.inner + part.columns;
                column = part.inner + box % 2 * kBoxColumns;
                row = part.data_row;
            }
            if (column < columns) {
                staging.store<typename Engine::Element>(args.c_map, to, columns, column, row + above, tile.rows - above,
                                 [&](int i) { return sums[box * 32 + i]; });
            }
        }
    }

    __device__ __forceinline__ void write(const BlocksTile &tile, const float (&sums)[Engine::kSums], Staging &staging) const {
        if (args.c_map != nullptr) {
            write_boxes(tile, sums, staging);
        } else if (args.kind == kSdd) {
            write_runs(PartsWriter{args, tile, left_part(tile), right_part(tile)}, sums, staging);
        } else if (args.kind == kDds) {
            write_runs(BlocksWriter<true>{args, tile}, sums, staging);
        } else {
            write_runs(BlocksWriter<false>{args, tile}, sums, staging);
        }
    }
};

}  // namespace dropless

#define HOPPER_BLOCKS(name, T, a, b)                                                                                       \
    extern "C" __global__ void __launch_bounds__(dropless::kHopperThreads, 1)                                              \
        name(const __grid_constant__ dropless::HopperBlocksArguments args) {                                               \
        using namespace dropless;                                                                                          \
        using Engine = BlocksEngine<T, Layout::a, Layout::b>;                                                              \
        run_hopper<Engine>(HopperBlocksJob<Engine>(args));                                                                 \
    }
#define HOPPER_BLOCKS_OF(suffix, T)                                                  \
    HOPPER_BLOCKS(dropless_hopper_blocks_nn_##suffix, T, kDepthMajor, kWideMajor)    \
    HOPPER_BLOCKS(dropless_hopper_blocks_nt_##suffix, T, kDepthMajor, kDepthMajor)   \
    HOPPER_BLOCKS(dropless_hopper_blocks_tn_##suffix, T, kWideMajor, kWideMajor)     \
    HOPPER_BLOCKS(dropless_hopper_blocks_tt_##suffix, T, kWideMajor, kDepthMajor)

HOPPER_BLOCKS_OF(bf16, bf16)
HOPPER_BLOCKS_OF(f16, f16)
