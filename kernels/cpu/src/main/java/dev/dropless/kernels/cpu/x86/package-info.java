/**
 * Machine code for x86-64, made at run time: an encoder for the few instructions that kernels need, memory that is writable or executable but never both,
 * and the processor's own account of its features. Nothing here knows what the code computes.
 */
@NullMarked
package dev.dropless.kernels.cpu.x86;

import org.jspecify.annotations.NullMarked;
