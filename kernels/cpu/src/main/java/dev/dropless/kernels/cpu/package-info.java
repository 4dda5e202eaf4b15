/**
 * The CPU back end: kernels on the Vector API, and scalar ones where the incubator module is not resolved.
 */
@NullMarked
package dev.dropless.kernels.cpu;

import org.jspecify.annotations.NullMarked;
