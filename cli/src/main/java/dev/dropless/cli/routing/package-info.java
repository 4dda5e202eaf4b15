/** Statistics of a routing, as text, as JSON and as pictures. */
@NullMarked
package dev.dropless.cli.routing;

import org.jspecify.annotations.NullMarked;
