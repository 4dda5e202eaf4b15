/**
 * Reads and writes safetensors files: an eight-byte header length, a JSON header, and one contiguous block of tensors.
 */
@NullMarked
package dev.dropless.safetensors;

import org.jspecify.annotations.NullMarked;
