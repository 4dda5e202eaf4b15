/**
 * JMH suites over the kernels, the layer and the topology, the arms they compare, and the check that every arm passes
 * before it is timed.
 */
@NullMarked
package dev.dropless.benchmarks;

import org.jspecify.annotations.NullMarked;
