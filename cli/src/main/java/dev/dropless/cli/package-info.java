/**
 * The {@code ./dropless} command.
 */
@NullMarked
package dev.dropless.cli;

import org.jspecify.annotations.NullMarked;
