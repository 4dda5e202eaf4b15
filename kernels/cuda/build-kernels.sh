#!/usr/bin/env bash
# Compiles src/main/cuda with nvcc into the cubins and the PTX that the jar carries, and writes the manifest that tests hold against
# the sources: SHA-256 of every source and resource, registers and spills of every kernel as ptxas reports them, and how to
# launch it.
#
#   ./build-kernels.sh            rebuilds src/main/resources/dev/dropless/kernels/cuda
#   ./build-kernels.sh DIRECTORY  builds into another directory, for comparison
#
# With FAMILIES or TARGETS in the environment only those are built, FAMILIES="hopper_wgrad hopper_blocks" for instance; what the manifest of the directory says of
# other images is kept.
#
# Needs nvcc (CUDA 12.8 or newer) and g++. Fails on any warning of the compilers, C75xx (ptxas performance) among them.
set -euo pipefail
cd "$(dirname "$0")"

output=${1:-src/main/resources/dev/dropless/kernels/cuda}
nvcc=${NVCC:-nvcc}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$output"

# Families whose names begin with hopper_ are for sm_90a alone: their instructions exist nowhere else.
read -r -a families <<< "${FAMILIES:-router topology experts weight_gradients combine activate block_sparse convert elementwise hopper_maps hopper_dense hopper_experts hopper_decode hopper_dgrad hopper_wgrad hopper_blocks}"
read -r -a targets <<< "${TARGETS:-sm_80 sm_90a}"
flags=(-std=c++17 -O3 --Werror all-warnings)

# Registers, stack and spills of every kernel in a log of "ptxas -v", one line each.
static_properties() {
    awk -v target="$1" '
        /Compiling entry function/ { split($0, quoted, "\x27"); name = quoted[2] }
        /bytes stack frame/ { stack = $1; spills = $5 + $9 }
        /Used [0-9]+ registers/ {
            for (i = 1; i <= NF; i++) if ($i == "Used") registers = $(i + 1)
            printf "static.%s.%s=registers:%s stack:%s spills:%s\n", target, name, registers, stack, spills
        }' "$2"
}

# Compiles one image: a family for a target, or its PTX.
compile() {
    local family=$1 target=$2
    local log="$scratch/$family.$target.log"
    if [[ $target == ptx ]]; then
        "$nvcc" "${flags[@]}" -arch=compute_80 -ptx -o "$scratch/$family.ptx" "src/main/cuda/$family.cu"
        # Comments are for people who have the source; blank lines and tabs are a fifth of the text. Nothing in it is newer than PTX 8.0, and
        # with that version drivers that do not know this compiler's take it (from 525 on); assembling it proves the claim.
        sed -e 's://.*$::' -e 's/[ \t]*$//' -e 's/^\t*//' -e '/^$/d' -e 's/^\.version .*$/.version 8.0/' "$scratch/$family.ptx" \
            > "$output/$family.ptx"
        "${PTXAS:-ptxas}" -arch=sm_80 -o "$scratch/$family.check.cubin" "$output/$family.ptx"
        return
    fi
    if ! "$nvcc" "${flags[@]}" -gencode "arch=compute_${target#sm_},code=$target" -cubin -Xptxas -v,-warn-spills \
        -o "$output/$family.$target.cubin" "src/main/cuda/$family.cu" > "$log" 2>&1; then
        cat "$log" >&2
        return 1
    fi
    if grep -E 'warning|\(C75[0-9][0-9]\)' "$log" >&2; then
        echo "build-kernels.sh: $family for $target: warnings, see above" >&2
        return 1
    fi
    static_properties "$target" "$log" > "$scratch/$family.$target.static"
}

if [[ " ${targets[*]} " != *" sm_90a "* ]]; then
    others=()
    for family in "${families[@]}"; do [[ $family == hopper_* ]] || others+=("$family"); done
    families=("${others[@]}")
fi
if ((${#families[@]} == 0)); then
    echo "build-kernels.sh: nothing to build: hopper_* families are for sm_90a" >&2
    exit 1
fi

# Two at a time.
running=0
for family in "${families[@]}"; do
    for target in "${targets[@]}" ptx; do
        if [[ $family == hopper_* && $target != sm_90a ]]; then
            continue
        fi
        if ((running++ >= 2)); then
            wait -n
        fi
        compile "$family" "$target" &
    done
done
while ((running-- > 0)); do
    wait -n || [[ $? == 127 ]]
done

./emulate-kernels.sh --build-only --only launch_table target/emulator
target/emulator/launch_table > "$scratch/launch"

# What an earlier build found of images that this one did not make: lines of kernels that are still there.
kept=()
if [[ -f $output/manifest.properties ]]; then
    mapfile -t kept < <(awk -v families=" ${families[*]} " -v targets=" ${targets[*]} " '
        FNR == NR { family[$1] = $2; next }
        /^static\./ {
            split($0, parts, /[.=]/)
            if (!(parts[3] in family)) next
            if (index(families, " " family[parts[3]] " ") && index(targets, " " parts[2] " ")) next
            print
        }' "$scratch/launch" "$output/manifest.properties")
fi

{
    echo "# Written by build-kernels.sh; tests compare it with the sources and with the resources beside it."
    echo "compiler=$("$nvcc" --version | sed -n 's/^Cuda compilation tools, //p')"
    (cd src/main/cuda && sha256sum -- *.cu *.cuh) | LC_ALL=C sort -k 2 | awk '{ print "source." $2 "=" $1 }'
    (cd "$output" && shopt -s nullglob && sha256sum -- *.cubin *.ptx) | LC_ALL=C sort -k 2 | awk '{ print "resource." $2 "=" $1 }'
    awk '{ print "launch." $1 "=family:" $2 " threads:" $3 " shared:" $4 " sharedPerExpert:" $5 " argumentWords:" $6 }' "$scratch/launch" \
        | LC_ALL=C sort
    { printf '%s\n' "${kept[@]}" && find "$scratch" -name '*.static' -exec cat {} +; } | sed '/^$/d' | LC_ALL=C sort
} > "$output/manifest.properties"
echo "$(find "$output" -type f -printf '%s\n' | awk '{ n += $1 } END { print n }') bytes in $output"
