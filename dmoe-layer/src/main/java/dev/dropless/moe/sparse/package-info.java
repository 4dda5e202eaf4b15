/**
 * The expert path composed of block-sparse products: gather, SDD, activation, DSD, scatter, and the MegaBlocks schedule backward (arXiv 2211.15841,
 * section 5). It computes what a back end's fused {@link dev.dropless.blocksparse.spi.ExpertKernels} compute, one level lower; a layer opened with
 * {@link dev.dropless.moe.sparse.ComposedKernels} runs on it unchanged.
 */
@NullMarked
package dev.dropless.moe.sparse;

import org.jspecify.annotations.NullMarked;
