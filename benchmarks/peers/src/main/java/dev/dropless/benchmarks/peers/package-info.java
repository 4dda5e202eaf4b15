/** Other libraries as arms: OpenBLAS, oneDNN, ONNX Runtime. */
@NullMarked
package dev.dropless.benchmarks.peers;

import org.jspecify.annotations.NullMarked;
