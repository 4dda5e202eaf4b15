package dev.dropless.cli.cases;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.cli.cases.CaseResults.Role;
import dev.dropless.moe.Precision;
import dev.dropless.safetensors.TensorType;

/** In which types a case is computed, and how closely its results must then agree with the stored ones. */
public enum CasePrecision {
    /** Everything in double precision, on the reference back end. */
    F64(Precision.F64, ElementType.F64, ElementType.F64, 1e-13),
    /** Everything in single precision. */
    F32(Precision.F32, ElementType.F32, ElementType.F32, 1e-7),
    /** Weights and activations in bfloat16, router, gradients and input in single precision. */
    BF16(Precision.BF16, ElementType.F32, ElementType.F32, 1e-7);

    /** Half a unit in the last place of bfloat16 is 2^-9; products of a few rounded factors stay within some of these. */
    private static final double BF16_LIMIT = 8 * 0x1p-9;

    private final Precision precision;
    private final ElementType input;
    private final ElementType gradients;
    private final double negligible;

    CasePrecision(Precision precision, ElementType input, ElementType gradients, double negligible) {
        this.precision = precision;
        this.input = input;
        this.gradients = gradients;
        this.negligible = negligible;
    }

    /**
     * Returns the types of the layer's parameters.
     *
     * @return precision
     */
    public Precision layer() {
        return precision;
    }

    /**
     * Returns the type of inputs and outputs.
     *
     * @return F64 or F32
     */
    public ElementType input() {
        return input;
    }

    /**
     * Returns the type of operands of a plain product.
     *
     * @return F64, F32 or BF16
     */
    public ElementType operands() {
        return precision.experts();
    }

    /**
     * Returns the type in which gradients of weights accumulate.
     *
     * @return F64 or F32
     */
    public ElementType gradients() {
        return gradients;
    }

    /**
     * Returns the largest absolute difference that always passes: some gradients are zero but for rounding.
     *
     * @return 1e-13 in double, 1e-7 in single precision
     */
    public double negligible() {
        return negligible;
    }

    /**
     * Returns the largest relative error that passes, ||computed - stored|| / ||stored||.
     *
     * @param role what the tensor is
     * @param stored type in which the case stores it
     * @return the limit of the reference data's description; for bfloat16, which it does not mention, this library's own
     */
    public double limit(Role role, TensorType stored) {
        return switch (this) {
            case F64 -> stored == TensorType.F32 ? 5e-7 : 1e-12;
            case F32 ->
                switch (role) {
                    case INTEGER -> 0;
                    case VALUE -> 5e-6;
                    case EXPERT_GRADIENT -> 1e-5;
                    case SHARED_GATE_GRADIENT -> 1e-4;
                    case ROUTER_GRADIENT -> 2e-4;
                };
            case BF16 ->
                switch (role) {
                    case INTEGER -> 0;
                    case VALUE, EXPERT_GRADIENT -> BF16_LIMIT;
                    case SHARED_GATE_GRADIENT, ROUTER_GRADIENT -> 4 * BF16_LIMIT;
                };
        };
    }
}
