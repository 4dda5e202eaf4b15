// Products of dense (D) and block-sparse (S) matrices in any transposition, with the dense product beside them; conversions and
// the elementwise product. In a name the first letter is the result, as in STK.
//
//   dense   C (+)= op(A) op(B)
//   sdd     S = op(A) op(B), the stored blocks only
//   dsd     C (+)= op(S) op(B)
//   dds     C (+)= op(A) op(S)
//
// One engine serves all four: a tile of the result is a sum over segments, each a product of two dense pieces. A dense product and a
// block of SDD have one segment; a tile of DSD or DDS has one per block of its block row (or, transposed, block column). Which
// dimension of an operand is contiguous depends on its transposition alone, whether it is sparse or not, so four kernels per type
// suffice. Blocks may be ragged: stripes are given by their offsets. Tiles are 128 x 128 inside a block or stripe, so blocks much
// smaller than that leave most of a tile unused: correct for any block size, fast from 64 on.
//
// Names: dropless_matmul_<nn|nt|tn|tt>_<f32|bf16|f16>: transpositions of the first and second operand, type of both;
// dropless_block_multiply, dropless_blocks_to_dense, dropless_blocks_from_dense, dropless_fill_zero.
//
// Launch: matmul 256 threads, TileShared bytes of dynamic shared memory, any grid; useful blocks are at most
//   dense, per operand stripe: ceil(rows / 128) * ceil(columns / 128);  sdd: blocks * ceil(B / 128)^2;
//   dsd: stripes of op(S) * ceil(B / 128) * ceil(columns / 128);  dds: ceil(rows / 128) * stripes * ceil(B / 128).
// The others 256 threads, no dynamic shared memory, any grid.
// The number of blocks is read from the pattern on the device.
#include "pattern.cuh"
#include "tile_product.cuh"

namespace dropless {

struct MatmulArguments {
    int64_t kind;         // ProductKind
    Matrix a, b, c;       // a and b of the kernel's type; the sparse one's data is dense at `data`, its stride unused
    int64_t rows, columns, depth;  // of op(a) op(b); unused where a pattern has them
    int64_t accumulate;   // not for sdd
    Pattern pattern;      // of the sparse one
};

template <class T, bool ta, bool tb> struct MatmulJob {
    const MatmulArguments &args;

    static constexpr Layout a_layout = ta ? Layout::kWideMajor : Layout::kDepthMajor;
    static constexpr Layout b_layout = tb ? Layout::kDepthMajor : Layout::kWideMajor;
    using DenseOperand = Operand<T, ConsecutiveRows>;

    struct Tile {
        int rows, columns;             // stored
        int64_t row, column;           // in the dense operands and, unless it is sparse, in the result
        int inner_row, inner_column;   // in the stripe or block
        int64_t result, result_stride; // first element of the tile in the result
        int first, last;               // blocks or positions to sum over; one of a dense sum
    };

    // Walks over the segments of a tile.
    struct Segments {
        const MatmulJob &job;
        const Tile &tile;
        int position;
        DenseOperand a, b;
        int depth = 0, done = 0;
        const float *scale = nullptr;
        const int *scale_index = nullptr;

        __device__ Segments(const MatmulJob &j, const Tile &t) : job(j), tile(t), position(t.first) { open(); }

        // Opens the segment at `position`, or the next one that is not empty.
        __device__ __forceinline__ void open() {
            for (done = 0, depth = 0; position < tile.last; position++) {
                job.segment(tile, position, a, b, depth);
                if (depth > 0) return;
            }
        }
        __device__ __forceinline__ bool valid() const { return position < tile.last; }
        __device__ __forceinline__ int left() const { return depth - done; }
        __device__ __forceinline__ void next(int step) {
            done += step;
            if (done >= depth) {
                position++;
                open();
            }
        }
        template <Layout layout> __device__ __forceinline__ DenseOperand stage_a() const { return a.template at<layout>(done, left()); }
        template <Layout layout> __device__ __forceinline__ DenseOperand stage_b() const { return b.template at<layout>(done, left()); }
    };

    __device__ int64_t tiles_per_stripe() const { return ceil_div(args.pattern.block_size, kTile); }
    __device__ int64_t dense_row_tiles() const { return ceil_div(args.rows, kTile); }
    __device__ int64_t dense_column_tiles() const { return ceil_div(args.columns, kTile); }
    // Whether the stripes of the sparse operand that meet the result are its block rows.
    __device__ bool by_block_row() const { return args.kind == kDsd ? !ta : tb; }
    __device__ int64_t stripes() const { return args.pattern.counts[by_block_row() ? 0 : 1]; }

    __device__ int64_t tiles() const {
        switch (args.kind) {
            case kSdd: return args.pattern.counts[2] * tiles_per_stripe() * tiles_per_stripe();
            case kDsd: return stripes() * tiles_per_stripe() * dense_column_tiles();
            case kDds: return dense_row_tiles() * stripes() * tiles_per_stripe();
            default: return dense_row_tiles() * dense_column_tiles();
        }
    }

    __device__ Tile tile(int64_t n) const {
        switch (args.kind) {
            case kSdd: return block_tile(n);
            case kDsd: {
                TileOrder order(n, stripes() * tiles_per_stripe(), dense_column_tiles());
                Tile t = stripe_tile(order.row);
                int64_t column = order.column * kTile;
                return {t.rows, clamp_count(args.columns - column, kTile), t.row, column, t.inner_row, 0,
                        t.row * args.c.stride + column, args.c.stride, t.first, t.last};
            }
            case kDds: {
                TileOrder order(n, dense_row_tiles(), stripes() * tiles_per_stripe());
                Tile t = stripe_tile(order.column);
                int64_t row = order.row * kTile;
                int rows = t.rows == 0 ? 0 : clamp_count(args.rows - row, kTile);
                return {rows, t.rows, row, t.row, 0, t.inner_row, row * args.c.stride + t.row, args.c.stride, t.first, t.last};
            }
            default: {
                TileOrder order(n, dense_row_tiles(), dense_column_tiles());
                int64_t row = order.row * kTile, column = order.column * kTile;
                return {clamp_count(args.rows - row, kTile), clamp_count(args.columns - column, kTile), row, column, 0, 0,
                        row * args.c.stride + column, args.c.stride, 0, 1};
            }
        }
    }

    // A tile's height or width of a stripe of the sparse operand; rows is 0 where a narrow stripe does not reach it.
    __device__ __forceinline__ Tile stripe_tile(int64_t n) const {
        const Pattern &p = args.pattern;
        int stripe = static_cast<int>(n / tiles_per_stripe());
        int inner = static_cast<int>(n % tiles_per_stripe()) * kTile;
        const int64_t *offset = by_block_row() ? p.row_offset : p.column_offset;
        const int *first = by_block_row() ? p.first_block : p.first_transposed;
        int rows = clamp_count(offset[stripe + 1] - offset[stripe] - inner, kTile);
        return {rows, 0, offset[stripe] + inner, 0, inner, 0, 0, 0, first[stripe], first[stripe + 1]};
    }

    __device__ __forceinline__ Tile block_tile(int64_t n) const {
        const Pattern &p = args.pattern;
        int64_t per_block = tiles_per_stripe() * tiles_per_stripe();
        int block = static_cast<int>(n / per_block), inner = static_cast<int>(n % per_block);
        int row = p.row_of[block], column = p.column_of[block];
        int inner_row = inner / static_cast<int>(tiles_per_stripe()) * kTile;
        int inner_column = inner % static_cast<int>(tiles_per_stripe()) * kTile;
        int64_t width = p.column_offset[column + 1] - p.column_offset[column];
        int columns = clamp_count(width - inner_column, kTile);
        int rows = columns == 0 ? 0 : clamp_count(p.row_offset[row + 1] - p.row_offset[row] - inner_row, kTile);
        return {rows, columns, p.row_offset[row] + inner_row, p.column_offset[column] + inner_column, inner_row, inner_column,
                p.data_offset[block] + inner_row * width + inner_column, width, 0, 1};
    }

    __device__ Segments product(const Tile &tile) const { return Segments(*this, tile); }

    // A dense operand of a result tile: `wide` its first row or column there, `first` where the summed dimension begins.
    template <bool depth_major>
    __device__ __forceinline__ DenseOperand dense(const Matrix &m, int64_t wide, int count, int64_t first, int depth) const {
        const T *data = static_cast<const T *>(m.data);
        if constexpr (depth_major) {
            return {data + wide * m.stride + first, m.stride, {0, count}, depth};
        } else {
            return {data + first * m.stride + wide, m.stride, {0, depth}, count};
        }
    }

    // A block as operand: `inner` its first row or column in the tile.
    template <bool depth_major>
    __device__ __forceinline__ DenseOperand block(const Matrix &m, int z, int width, int inner, int count, int depth) const {
        const T *data = static_cast<const T *>(m.data) + args.pattern.data_offset[z];
        if constexpr (depth_major) {
            return {data + int64_t{inner} * width, width, {0, count}, depth};
        } else {
            return {data + inner, width, {0, depth}, count};
        }
    }

    __device__ __forceinline__ void segment(const Tile &tile, int position, DenseOperand &a, DenseOperand &b, int &depth) const {
        if (args.kind == kDense || args.kind == kSdd) {
            depth = static_cast<int>(args.depth);
            a = dense<!ta>(args.a, tile.row, tile.rows, 0, depth);
            b = dense<tb>(args.b, tile.column, tile.columns, 0, depth);
            return;
        }
        const Pattern &p = args.pattern;
        int z = by_block_row() ? position : p.transposed_block[position];
        int row = p.row_of[z], column = p.column_of[z];
        int64_t first_row = p.row_offset[row], first_column = p.column_offset[column];
        int width = static_cast<int>(p.column_offset[column + 1] - first_column);
        int height = static_cast<int>(p.row_offset[row + 1] - first_row);
        depth = by_block_row() ? width : height;
        int64_t first = by_block_row() ? first_column : first_row;
        if (args.kind == kDsd) {
            a = block<!ta>(args.a, z, width, tile.inner_row, tile.rows, depth);
            b = dense<tb>(args.b, tile.column, tile.columns, first, depth);
        } else {
            a = dense<!ta>(args.a, tile.row, tile.rows, first, depth);
            b = block<tb>(args.b, z, width, tile.inner_column, tile.columns, depth);
        }
    }

    __device__ void write(const Tile &tile, const float *sums) const {
        for_each_run<kTile>([&](int row, int column) {
            int count = clamp_count(tile.columns - column, kRun);
            if (!stores_row(row, tile.rows) || count == 0) return;
            int64_t index = tile.result + row * tile.result_stride + column;
            float v[kRun];
            read_sums(sums, row, column, v);
            if (args.accumulate) add_run(args.c.data, args.c.type, index, count, v);
            store_run(args.c.data, args.c.type, index, count, v);
        });
    }
};

struct BlockMultiplyArguments {
    Matrix x, y, result;  // data of matrices with one pattern; result may be x or y
    Pattern pattern;
};

__device__ __forceinline__ void block_multiply(const BlockMultiplyArguments &args) {
    int64_t elements = args.pattern.data_offset[args.pattern.counts[2]];
    int64_t first = (blockIdx.x * int64_t{kThreads} + threadIdx.x) * kRun;
    for (int64_t i = first; i < elements; i += gridDim.x * int64_t{kThreads} * kRun) {
        int count = clamp_count(elements - i, kRun);
        float x[kRun], y[kRun];
        load_run(args.x.data, args.x.type, i, count, x);
        load_run(args.y.data, args.y.type, i, count, y);
#pragma unroll
        for (int j = 0; j < kRun; j++) x[j] *= y[j];
        store_run(args.result.data, args.result.type, i, count, x);
    }
}

struct BlockCopyArguments {
    Matrix blocks;  // data of the sparse matrix
    Matrix dense;   // [rows, columns]
    Pattern pattern;
};

// Copies every stored element between a block-sparse and a dense matrix, one block of threads per block.
template <bool to_dense> __device__ __forceinline__ void copy_blocks(const BlockCopyArguments &args) {
    const Pattern &p = args.pattern;
    int blocks = p.counts[2];
    for (int z = blockIdx.x; z < blocks; z += gridDim.x) {
        int row = p.row_of[z], column = p.column_of[z];
        int width = static_cast<int>(p.column_offset[column + 1] - p.column_offset[column]);
        int64_t elements = (p.row_offset[row + 1] - p.row_offset[row]) * width;
        for (int64_t i = threadIdx.x; i < elements; i += kThreads) {
            int64_t dense = (p.row_offset[row] + i / width) * args.dense.stride + p.column_offset[column] + i % width;
            int64_t block = p.data_offset[z] + i;
            if constexpr (to_dense) {
                store_element(args.dense.data, args.dense.type, dense, load_element(args.blocks.data, args.blocks.type, block));
            } else {
                store_element(args.blocks.data, args.blocks.type, block, load_element(args.dense.data, args.dense.type, dense));
            }
        }
    }
}

struct FillArguments {
    Matrix matrix;  // [rows, columns], set to zero
    int64_t rows, columns;
};

__device__ __forceinline__ void fill_zero(const FillArguments &args) {
    int64_t total = args.rows * args.columns;
    for (int64_t i = blockIdx.x * int64_t{kThreads} + threadIdx.x; i < total; i += gridDim.x * int64_t{kThreads}) {
        store_element(args.matrix.data, args.matrix.type, i / args.columns * args.matrix.stride + i % args.columns, 0.f);
    }
}

}  // namespace dropless

#define MATMUL_KERNEL(name, Engine, T, ta, tb)                                  \
    extern "C" __global__ void __launch_bounds__(dropless::kThreads, dropless::kBlocksPerMultiprocessor) \
        name(const __grid_constant__ dropless::MatmulArguments args) {          \
        using namespace dropless;                                               \
        using Job = MatmulJob<T, ta, tb>;                                       \
        run_tiles<Engine, Job::a_layout, Job::b_layout>(Job{args});             \
    }
#define MATMUL_KERNELS(suffix, Engine, T)                                       \
    MATMUL_KERNEL(dropless_matmul_nn_##suffix, Engine, T, false, false)         \
    MATMUL_KERNEL(dropless_matmul_nt_##suffix, Engine, T, false, true)          \
    MATMUL_KERNEL(dropless_matmul_tn_##suffix, Engine, T, true, false)          \
    MATMUL_KERNEL(dropless_matmul_tt_##suffix, Engine, T, true, true)

MATMUL_KERNELS(f32, FloatUnits, float)
MATMUL_KERNELS(bf16, TensorCore<bf16>, bf16)
MATMUL_KERNELS(f16, TensorCore<f16>, f16)

extern "C" __global__ void __launch_bounds__(dropless::kThreads)
    dropless_block_multiply(const __grid_constant__ dropless::BlockMultiplyArguments args) {
    dropless::block_multiply(args);
}

extern "C" __global__ void __launch_bounds__(dropless::kThreads)
    dropless_blocks_to_dense(const __grid_constant__ dropless::BlockCopyArguments args) {
    dropless::copy_blocks<true>(args);
}

extern "C" __global__ void __launch_bounds__(dropless::kThreads)
    dropless_blocks_from_dense(const __grid_constant__ dropless::BlockCopyArguments args) {
    dropless::copy_blocks<false>(args);
}

extern "C" __global__ void __launch_bounds__(dropless::kThreads)
    dropless_fill_zero(const __grid_constant__ dropless::FillArguments args) {
    dropless::fill_zero(args);
}
