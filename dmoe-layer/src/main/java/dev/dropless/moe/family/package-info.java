/**
 * Model families: how a checkpoint's configuration and tensor names become a {@link dev.dropless.moe.MoeConfig} and its parameters. A family is a
 * declaration of a screen or less; {@link dev.dropless.moe.family.Families} lists them.
 */
@NullMarked
package dev.dropless.moe.family;

import org.jspecify.annotations.NullMarked;
