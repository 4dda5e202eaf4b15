#!/usr/bin/env bash
# Writes src/main/cuda/warpgroup_products.cuh: one function for each type and width of a warpgroup's product, whose up to 128 sums are operands
# of one instruction. With a file name as argument writes there.
set -euo pipefail
cd "$(dirname "$0")"

widths="16 64 128 192 256"

product() {
    local element=$1 type=$2 width=$3
    local sums=$((width / 2)) registers="" operands="" i
    for ((i = 0; i < sums; i++)); do
        registers+="%$i"
        operands+="\"+f\"(d[$i])"
        if ((i + 1 < sums)); then
            registers+=","
            operands+=","
            if ((i % 8 == 7)); then
                registers+="\"
            \""
                operands+="
            "
            else
                operands+=" "
            fi
        fi
    done
    cat <<FUNCTION

template <> struct WarpgroupProduct<$element, $width> {
    template <int a_wide, int b_wide>
    static __device__ __forceinline__ void start(float (&d)[$sums], uint64_t a, uint64_t b, bool accumulate) {
        asm volatile(
            "{\n.reg .pred add;\nsetp.ne.b32 add, %$((sums + 2)), 0;\n"
            "wgmma.mma_async.sync.aligned.m64n${width}k16.f32.$type.$type {"
            "$registers"
            "}, %$sums, %$((sums + 1)), add, 1, 1, %$((sums + 3)), %$((sums + 4));\n}"
            : $operands
            : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)), "n"(a_wide), "n"(b_wide));
    }
};
FUNCTION
}

{
    cat <<'HEADER'
// Written by generate-products.sh.
//
// d (+)= a b for a warpgroup: a is 64 x 16, b 16 x N, both in shared memory, given by descriptors (operand_descriptor in hopper_engine.cuh); a_wide
// and b_wide are 0 where the summed dimension is contiguous, 1 where the other one is. Sums are fp32: thread t of the warpgroup holds, at
// 4 j + 2 h + c, row t / 32 * 16 + t % 32 / 4 + 8 h, column 8 j + t % 4 * 2 + c. They may be touched only after products_wait.
#pragma once

#include "device.cuh"

namespace dropless {

template <class T, int width> struct WarpgroupProduct;
HEADER
    for width in $widths; do
        product bf16 bf16 "$width"
        product f16 f16 "$width"
    done
    echo
    echo "}  // namespace dropless"
} > "${1:-src/main/cuda/warpgroup_products.cuh}"
