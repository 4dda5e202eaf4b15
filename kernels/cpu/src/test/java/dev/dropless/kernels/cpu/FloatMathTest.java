package dev.dropless.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ActivationMath;
import org.junit.jupiter.api.Test;

class FloatMathTest {

    private static double ulps(double exact, float found) {
        return Math.abs(found - exact) / Math.max(Math.ulp((float) exact), Float.MIN_VALUE);
    }

    @Test
    void expIsWithinTwoUnits() {
        double worst = 0;
        for (float x = -110; x < 88.72f; x += 0.00173f) {
            worst = Math.max(worst, ulps(Math.exp(x), FloatMath.exp(x)));
        }
        assertTrue(worst < 1.5, "worst " + worst);
        assertEquals(1f, FloatMath.exp(0f));
        assertEquals(1f, FloatMath.exp(-0f));
        assertEquals(Float.POSITIVE_INFINITY, FloatMath.exp(88.73f));
        assertEquals(Float.POSITIVE_INFINITY, FloatMath.exp(Float.POSITIVE_INFINITY));
        assertEquals(0f, FloatMath.exp(-104));
        assertEquals(0f, FloatMath.exp(Float.NEGATIVE_INFINITY));
        assertTrue(Float.isNaN(FloatMath.exp(Float.NaN)));
    }

    @Test
    void normalCdfKeepsRelativeAccuracyInTheTail() {
        double worst = 0;
        for (float a = -13; a < 13; a += 0.00037f) {
            double exact = 0.5 * ActivationMath.erfc(-a * Math.sqrt(0.5));
            worst = Math.max(worst, ulps(exact, FloatMath.normalCdf(a)));
        }
        assertTrue(worst < 6, "worst " + worst);
        assertEquals(0f, FloatMath.normalCdf(Float.NEGATIVE_INFINITY));
        assertEquals(1f, FloatMath.normalCdf(Float.POSITIVE_INFINITY));
        assertTrue(Float.isNaN(FloatMath.normalCdf(Float.NaN)));
    }

    @Test
    void sigmoidIsWithinThreeUnits() {
        double worst = 0;
        for (float z = -87; z < 30; z += 0.0031f) {
            worst = Math.max(worst, ulps(1 / (1 + Math.exp(-(double) z)), FloatMath.sigmoid(z)));
        }
        assertTrue(worst < 3, "worst " + worst);
    }

    /** Errors of the derivative are measured against 1, the size of its terms, since it has a zero. */
    @Test
    void activationsAndDerivatives() {
        for (Activation.Function function : Activation.Function.values()) {
            Activation exact = Activation.of(function);
            FloatActivation activation = FloatActivation.of(exact);
            for (float a = -12; a < 12; a += 0.00711f) {
                double value = ActivationMath.hidden(exact, a);
                // gelu tanh magnifies the rounding of its argument by the argument, up to 2 * 0.8 * 90 here
                double relative = function == Activation.Function.GELU_TANH ? 400 : 10;
                double bound = relative * 0x1p-24 * Math.abs(value) + 0x1p-126;
                assertEquals(value, FloatMath.hidden(activation, a), bound, () -> function + " value");
                double slope = ActivationMath.dHidden(exact, a);
                double slopeBound = 16 * 0x1p-24 * Math.max(1, Math.abs(slope));
                assertEquals(slope, FloatMath.dHidden(activation, a), slopeBound, () -> function + " slope");
            }
        }
    }

    @Test
    void limitsHaveNoGradientBeyond() {
        FloatActivation activation = FloatActivation.of(new Activation(Activation.Function.SILU, 1.702, 7, 7, 1));
        assertEquals(FloatMath.hidden(activation, 7), FloatMath.hidden(activation, 1e30f));
        assertEquals(0, FloatMath.dHidden(activation, Math.nextUp(7f)));
        assertTrue(FloatMath.dHidden(activation, 7) > 0);
        assertEquals(8, FloatMath.up(activation, 9));
        assertEquals(-6, FloatMath.up(activation, Float.NEGATIVE_INFINITY));
        assertTrue(Float.isNaN(FloatMath.up(activation, Float.NaN)));
    }
}
