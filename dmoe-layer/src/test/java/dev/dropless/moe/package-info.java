/** Tests of the layer. Contracts are abstract classes, so that another back end needs a few lines to be tested alike. */
@NullMarked
package dev.dropless.moe;

import org.jspecify.annotations.NullMarked;
