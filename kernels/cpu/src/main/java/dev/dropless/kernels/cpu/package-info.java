/**
 * The CPU back end: kernels emitted as machine code, kernels on the Vector API, and scalar ones, equal bit for bit.
 */
@NullMarked
package dev.dropless.kernels.cpu;

import org.jspecify.annotations.NullMarked;
