/** The TornadoVM side of the back end: task graphs, device arrays, and a library of CUDA kernels for task graphs. */
@org.jspecify.annotations.NullMarked
package dev.dropless.kernels.tornado.sdk;
