/**
 * Safetensors files, read memory-mapped and written atomically.
 *
 * <p>A safetensors file is an 8-byte little-endian length, a JSON header of that many bytes, and raw little-endian
 * tensor data. The format is specified by the safetensors project (its README, section "Format"); what the reader
 * enforces beyond that is stated in {@link dev.dropless.safetensors.SafetensorsFile}.
 *
 * <p>Every fault of an input file, hostile ones included, is reported as one
 * {@link dev.dropless.safetensors.SafetensorsException} whose message is a single printable line. Wrong arguments of a
 * caller are {@link java.lang.IllegalArgumentException}s.
 */
@NullMarked
package dev.dropless.safetensors;

import org.jspecify.annotations.NullMarked;
