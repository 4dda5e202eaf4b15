/** The demonstration: a real text through one layer, dropless and padded, with tables, pictures and a report. */
@NullMarked
package dev.dropless.cli.demo;

import org.jspecify.annotations.NullMarked;
