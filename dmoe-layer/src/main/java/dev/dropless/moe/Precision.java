package dev.dropless.moe;

import dev.dropless.blocksparse.ElementType;

/**
 * In which types a layer stores what it owns. Products accumulate in the back end's own type, and router logits are never narrower than binary32.
 *
 * @param experts weights of routed and shared experts and of the latent projections
 * @param router router weight and bias, shared gate, output bias: F32 or F64
 * @param activations pre-activations and activations of the experts, in scratch and in saved state
 * @param int8Experts whether the projections of routed and shared experts are kept as whole numbers of 8 bits with a scale for each output column, for the
 *     forward pass only; {@code experts} is then the type of the rest
 */
public record Precision(ElementType experts, ElementType router, ElementType activations, boolean int8Experts) {

    /** Everything in binary64, for the reference back end and for checks. */
    public static final Precision F64 = new Precision(ElementType.F64, ElementType.F64, ElementType.F64);

    /** Everything in binary32. */
    public static final Precision F32 = new Precision(ElementType.F32, ElementType.F32, ElementType.F32);

    /** Experts and activations in bfloat16, router in binary32. */
    public static final Precision BF16 = new Precision(ElementType.BF16, ElementType.F32, ElementType.BF16);

    /** Projections of experts in 8 bits, everything else in binary32: for inference. */
    public static final Precision INT8 = F32.withInt8Experts();

    /**
     * Types alone, experts not in 8 bits.
     *
     * @param experts weights of routed and shared experts and of the latent projections
     * @param router router weight and bias, shared gate, output bias: F32 or F64
     * @param activations pre-activations and activations of the experts
     */
    public Precision(ElementType experts, ElementType router, ElementType activations) {
        this(experts, router, activations, false);
    }

    /**
     * The same with the projections of experts in 8 bits.
     *
     * @return for inference
     */
    public Precision withInt8Experts() {
        return new Precision(experts, router, activations, true);
    }

    /**
     * Checks the router's type.
     *
     * @throws IllegalArgumentException if {@code router} is neither F32 nor F64
     */
    public Precision {
        if (router != ElementType.F32 && router != ElementType.F64) {
            throw new IllegalArgumentException("precision.router: expected F32 or F64, found " + router);
        }
    }
}
