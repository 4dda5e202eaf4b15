/**
 * The dropless mixture-of-experts layer, forward and backward: routers, experts, losses, memory policies, and the padded
 * baseline it is compared with.
 */
@NullMarked
package dev.dropless.moe;

import org.jspecify.annotations.NullMarked;
