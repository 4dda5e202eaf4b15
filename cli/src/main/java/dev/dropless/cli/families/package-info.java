/** Descriptions of the model families, derived from their declarations. */
@NullMarked
package dev.dropless.cli.families;

import org.jspecify.annotations.NullMarked;
