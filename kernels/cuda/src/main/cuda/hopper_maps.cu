// Makes tensor maps on the device, so that a host needs neither cuTensorMapEncodeTiled nor copies.
//
// Map i describes fields[i]; a matrix without rows or columns is described as if it had one, which nothing reads. Later launches in the same
// stream may use the maps.
//
// Name: dropless_tensor_maps. Launch: 32 threads, no dynamic shared memory, one block for each map.
#include "hopper.cuh"

namespace dropless {

constexpr int kMapsPerLaunch = 8;

struct TensorMapsArguments {
    TensorMap *maps;  // [count], 128 bytes each, aligned to that
    int64_t count;    // at most kMapsPerLaunch
    TensorMapFields fields[kMapsPerLaunch];
};

struct TensorMapsShared {
    TensorMap map;
};

__device__ __forceinline__ void make_tensor_map(const TensorMapsArguments &args) {
    ALIGNED_SHARED_MEMORY(TensorMapsShared, shared);
    int lane = static_cast<int>(threadIdx.x);
    if (blockIdx.x >= args.count) return;
    if (lane < 16) shared.map.word[lane] = 0;
    __syncwarp();
    if (lane == 0) {
        TensorMapFields fields = args.fields[blockIdx.x];
        if (fields.rows < 1) fields.rows = 1;
        if (fields.columns < 1) fields.columns = 1;
        write_tensor_map(&shared.map, fields);
    }
    __syncwarp();
    publish_tensor_map(args.maps + blockIdx.x, &shared.map);
}

}  // namespace dropless

extern "C" __global__ void __launch_bounds__(32) dropless_tensor_maps(const __grid_constant__ dropless::TensorMapsArguments args) {
    dropless::make_tensor_map(args);
}
