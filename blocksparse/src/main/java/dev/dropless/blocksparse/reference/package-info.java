/** The back end that judges the others: one thread, double precision, loops that read like the formulas. */
@NullMarked
package dev.dropless.blocksparse.reference;

import org.jspecify.annotations.NullMarked;
