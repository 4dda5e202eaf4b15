/**
 * Where tests and the demo find case files, checkpoints and texts.
 */
@NullMarked
package dev.dropless.testdata;

import org.jspecify.annotations.NullMarked;
