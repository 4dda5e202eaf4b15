package dev.dropless.moe.family;

import dev.dropless.moe.loss.AuxiliaryLoss;

/**
 * An auxiliary loss as a family uses it.
 *
 * @param loss value and gradient
 * @param coefficient factor on both
 */
public record FamilyLoss(AuxiliaryLoss loss, double coefficient) {}
