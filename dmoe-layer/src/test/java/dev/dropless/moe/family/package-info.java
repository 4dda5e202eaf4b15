/** Tests of the model families. */
@NullMarked
package dev.dropless.moe.family;

import org.jspecify.annotations.NullMarked;
