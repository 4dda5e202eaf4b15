package dev.dropless.kernels.cpu.x86;

import org.jspecify.annotations.Nullable;

/**
 * A memory operand: base + index * scale + displacement.
 *
 * @param base base register
 * @param index index register, or null
 * @param scale 1, 2, 4 or 8
 * @param displacement bytes
 */
public record Address(Gpr base, @Nullable Gpr index, int scale, int displacement) {

    /**
     * Checks that the operand can be encoded.
     *
     * @throws IllegalArgumentException if the scale is none of 1, 2, 4, 8, or the index is RSP
     */
    public Address {
        if (scale != 1 && scale != 2 && scale != 4 && scale != 8) {
            throw new IllegalArgumentException("scale: expected 1, 2, 4 or 8, found " + scale);
        }
        if (index == Gpr.RSP) {
            throw new IllegalArgumentException("index: expected any register but RSP, found RSP");
        }
    }

    /**
     * Base and displacement.
     *
     * @param base base register
     * @param displacement bytes
     * @return the operand
     */
    public static Address at(Gpr base, int displacement) {
        return new Address(base, null, 1, displacement);
    }

    /**
     * Base, scaled index and displacement.
     *
     * @param base base register
     * @param index index register
     * @param scale 1, 2, 4 or 8
     * @param displacement bytes
     * @return the operand
     */
    public static Address at(Gpr base, Gpr index, int scale, int displacement) {
        return new Address(base, index, scale, displacement);
    }

    int indexHigh() {
        return index == null ? 0 : index.high();
    }
}
