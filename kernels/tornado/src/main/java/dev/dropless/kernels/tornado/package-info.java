/**
 * The TornadoVM back end: memory, plans and products as invocations of kernels. Nothing here needs TornadoVM's classes; what
 * does is found at run time as an {@link dev.dropless.kernels.tornado.engine.EngineProvider}.
 */
@org.jspecify.annotations.NullMarked
package dev.dropless.kernels.tornado;
