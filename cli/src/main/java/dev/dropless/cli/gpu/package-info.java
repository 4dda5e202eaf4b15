/** What {@code gpu-check} runs on a machine with a GPU: comparisons with the reference, ceilings, and the shapes of real models. */
@NullMarked
package dev.dropless.cli.gpu;

import org.jspecify.annotations.NullMarked;
