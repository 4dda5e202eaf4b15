/** Dropless against padded batched matmul, side by side on the same parameters and tokens: results, dropped tokens, padding and time. */
@NullMarked
package dev.dropless.cli.comparison;

import org.jspecify.annotations.NullMarked;
