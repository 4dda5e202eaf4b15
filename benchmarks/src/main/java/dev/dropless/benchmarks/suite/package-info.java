/** Runs suites: cells of one task and several arms, JMH for each arm, rows in JSON, one page of HTML. */
@NullMarked
package dev.dropless.benchmarks.suite;

import org.jspecify.annotations.NullMarked;
