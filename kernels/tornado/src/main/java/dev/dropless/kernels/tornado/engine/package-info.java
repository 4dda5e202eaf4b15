/** What the TornadoVM back end needs of TornadoVM, without its classes: a device with three arrays and a list of kernels. */
@org.jspecify.annotations.NullMarked
package dev.dropless.kernels.tornado.engine;
