/**
 * JMH suites over the kernels and the layer.
 */
@NullMarked
package dev.dropless.benchmarks;

import org.jspecify.annotations.NullMarked;
