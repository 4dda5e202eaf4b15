// Copies a matrix, converting its type, through fp32: also transposes, gathers parts out of packed weights, and loads or stores
// them. Any strides; the result is rounded once (an F64 source is rounded to fp32 first).
//
// Name: dropless_convert. Launch: 256 threads, no dynamic shared memory, any grid; useful blocks are
// ceil(rows * columns / 256). Consecutive threads take consecutive columns.
#include "matrix.cuh"

namespace dropless {

struct StridedMatrix {
    void *data;
    int64_t row_stride, column_stride;  // in elements; swapped they transpose
    int64_t type;                       // ElementType, F64 allowed
};

struct ConvertArguments {
    StridedMatrix source, target;
    int64_t rows, columns;
};

}  // namespace dropless

extern "C" __global__ void __launch_bounds__(256) dropless_convert(const __grid_constant__ dropless::ConvertArguments args) {
    using namespace dropless;
    int64_t total = args.rows * args.columns;
    for (int64_t i = blockIdx.x * int64_t{256} + threadIdx.x; i < total; i += gridDim.x * int64_t{256}) {
        int64_t row = i / args.columns, column = i % args.columns;
        int64_t from = row * args.source.row_stride + column * args.source.column_stride;
        int64_t to = row * args.target.row_stride + column * args.target.column_stride;
        store_element(args.target.data, args.target.type, to, load_element(args.source.data, args.source.type, from));
    }
}
