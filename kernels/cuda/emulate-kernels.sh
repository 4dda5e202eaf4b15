#!/usr/bin/env bash
# Compiles the emulated tests of the CUDA kernels with g++ and, unless told only to build, runs them.
#
#   ./emulate-kernels.sh [--build-only] [DIRECTORY]      DIRECTORY: where executables go, target/emulator by default
#
# One test alone, more seeds, a planted fault:  target/emulator/experts_test --seeds 100 500 --fault no-copy-wait
set -euo pipefail
cd "$(dirname "$0")"

run=true
if [[ "${1:-}" == --build-only ]]; then
    run=false
    shift
fi
directory=${1:-target/emulator}
compiler=${CXX:-g++}
mkdir -p "$directory"

tests=(topology_test router_test experts_test weight_gradients_test block_sparse_test hopper_dense_test hopper_experts_test hopper_decode_test hopper_dgrad_test hopper_wgrad_test hopper_blocks_test)

for name in "${tests[@]}" launch_table; do
    # Newer than all that it could depend on: nothing to do.
    if [[ -x "$directory/$name" && -z "$(find src/main/cuda src/test/cuda emulate-kernels.sh -newer "$directory/$name" -type f)" ]]; then
        continue
    fi
    "$compiler" -std=c++20 -O2 -Wall -Wextra -Wno-unknown-pragmas -DDROPLESS_EMULATOR -Isrc/test/cuda -Isrc/main/cuda \
        "src/test/cuda/$name.cpp" -o "$directory/$name"
done

if $run; then
    for name in "${tests[@]}"; do
        echo "$name"
        "$directory/$name"
    done
fi
