/** What the commands compute on: synthetic assignments, and a text turned into tokens. */
@NullMarked
package dev.dropless.cli.workload;

import org.jspecify.annotations.NullMarked;
