/** Tests of the padded baseline. */
@NullMarked
package dev.dropless.moe.padded;

import org.jspecify.annotations.NullMarked;
