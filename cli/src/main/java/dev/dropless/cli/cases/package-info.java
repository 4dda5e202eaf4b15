/**
 * Reference cases: files of inputs with the results of other implementations. Reads them, computes them, writes the results under the same names, and
 * compares.
 */
@NullMarked
package dev.dropless.cli.cases;

import org.jspecify.annotations.NullMarked;
