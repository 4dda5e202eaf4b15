/**
 * What a back end implements: availability, memory, and two levels of operations, {@linkplain
 * dev.dropless.blocksparse.spi.BlockSparseKernels
 * block-sparse products} and the fused {@linkplain dev.dropless.blocksparse.spi.ExpertKernels expert path}.
 */
@NullMarked
package dev.dropless.blocksparse.spi;

import org.jspecify.annotations.NullMarked;
