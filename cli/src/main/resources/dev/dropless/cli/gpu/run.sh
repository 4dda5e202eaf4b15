#!/bin/sh
# Starts the dropless command with the Java runtime of this folder; needs nothing else, and an NVIDIA driver for the GPU.
# CUDA libraries (cuBLAS, cuSPARSE) are found on LD_LIBRARY_PATH, in /usr/local/cuda, or where a Python package of NVIDIA has put them.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
for folder in /usr/local/cuda/lib64 /usr/local/nvidia/lib64 /usr/local/nvidia/lib; do
    [ ! -d "$folder" ] || LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
done
python_folders() {
    python3 - <<'PYTHON' 2>/dev/null || true
import glob, importlib.util, os
spec = importlib.util.find_spec("nvidia")
roots = list(spec.submodule_search_locations) if spec else []
print(":".join(sorted({os.path.dirname(f) for root in roots for f in glob.glob(root + "/*/lib/libcu*.so*")})))
PYTHON
}
folders=$(python_folders)
[ -z "$folders" ] || LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folders
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:-}"
# JAVA_OPTS is split into words on purpose.
# shellcheck disable=SC2086
exec "$here/runtime/bin/java" -p "$here/lib" \
    --add-modules jdk.incubator.vector,dev.dropless.kernels.cpu,dev.dropless.kernels.cuda \
    --enable-native-access=dev.dropless.cli,dev.dropless.kernels.cpu,dev.dropless.kernels.cuda,jcuda \
    -Djava.library.path="$here/natives" \
    -Ddropless.testData="$here/test-data" -Ddropless.tests="$here/tests" -Ddropless.peers="$here/gpu_peers.py" \
    ${JAVA_OPTS:-} -m dev.dropless.cli/dev.dropless.cli.Main "$@"
