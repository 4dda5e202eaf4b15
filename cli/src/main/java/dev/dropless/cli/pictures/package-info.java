/** Pictures of topologies and routings, as PNG and SVG. */
@NullMarked
package dev.dropless.cli.pictures;

import org.jspecify.annotations.NullMarked;
