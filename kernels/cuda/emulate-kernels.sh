#!/usr/bin/env bash
# Compiles the emulated tests of the CUDA kernels with g++, two at a time, and, unless told only to build, runs them.
#
#   ./emulate-kernels.sh [--build-only] [--only NAME] [DIRECTORY]      DIRECTORY: where executables go, target/emulator by default
#
# One test alone, more seeds, a planted fault:  target/emulator/experts_test --seeds 100 500 --fault no-copy-wait
set -euo pipefail
cd "$(dirname "$0")"

tests=(topology_test router_test experts_test weight_gradients_test block_sparse_test hopper_dense_test hopper_experts_test hopper_decode_test hopper_dgrad_test hopper_wgrad_test hopper_blocks_test)
programs=("${tests[@]}" launch_table)
run=true
if [[ "${1:-}" == --build-only ]]; then
    run=false
    shift
fi
if [[ "${1:-}" == --only ]]; then
    tests=("$2")
    programs=("$2")
    shift 2
fi
export directory=${1:-target/emulator}
export compiler=${CXX:-g++}
mkdir -p "$directory"

build() {
    # Newer than all that it could depend on: nothing to do.
    if [[ -x "$directory/$1" && -z "$(find src/main/cuda src/test/cuda -newer "$directory/$1" -type f)" ]]; then
        return
    fi
    "$compiler" -std=c++20 -O2 -Wall -Wextra -Wno-unknown-pragmas -DDROPLESS_EMULATOR -Isrc/test/cuda -Isrc/main/cuda \
        "src/test/cuda/$1.cpp" -o "$directory/$1"
}
export -f build
printf '%s\n' "${programs[@]}" | xargs -P 2 -I NAME bash -c 'build NAME'

if $run; then
    for name in "${tests[@]}"; do
        echo "$name"
        "$directory/$name"
    done
fi
