/** What this program runs on: names, features, and two measured limits, arithmetic and memory. */
@NullMarked
package dev.dropless.cli.machine;

import org.jspecify.annotations.NullMarked;
