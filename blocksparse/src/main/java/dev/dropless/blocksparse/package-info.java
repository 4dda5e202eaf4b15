/**
 * Dense and block-sparse matrices and their products: SDD, DSD and DDS, named by which of output, left and right
 * operand
 * is sparse (S) or dense (D).
 */
@NullMarked
package dev.dropless.blocksparse;

import org.jspecify.annotations.NullMarked;
