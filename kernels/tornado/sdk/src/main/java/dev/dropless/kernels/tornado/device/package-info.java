/**
 * The kernels, in the part of Java that TornadoVM compiles: static methods over its arrays, without objects, recursion or
 * exceptions. They run as plain Java too, which the tests of the normal build use.
 */
@org.jspecify.annotations.NullMarked
package dev.dropless.kernels.tornado.device;
