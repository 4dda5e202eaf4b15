package dev.dropless.blocksparse;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.dropless.blocksparse.Activation.Function;
import java.math.BigDecimal;
import java.math.MathContext;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class ActivationMathTest {

    private static final MathContext DIGITS = new MathContext(400);
    private static final BigDecimal TWO_OVER_SQRT_PI = BigDecimal.valueOf(2)
            .divide(
                    new BigDecimal(
                                    "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862"
                                            + "80348253421170679821480865132823066470938446095505822317253594081284811174502841027")
                            .sqrt(new MathContext(160)),
                    new MathContext(160));

    /** erf by its Taylor series with hundreds of digits, so that cancellation does not matter. */
    private static BigDecimal exactErf(double x) {
        BigDecimal value = new BigDecimal(x);
        BigDecimal square = value.multiply(value).negate();
        BigDecimal power = value;
        BigDecimal sum = value;
        for (int n = 1; n < 20 + 8 * x * x || power.abs().compareTo(new BigDecimal("1e-170")) > 0; n++) {
            power = power.multiply(square).divide(BigDecimal.valueOf(n), DIGITS);
            sum = sum.add(power.divide(BigDecimal.valueOf(2L * n + 1), DIGITS));
        }
        return sum.multiply(TWO_OVER_SQRT_PI, DIGITS);
    }

    @Test
    void errorFunctionsAreAccurateToAFewUnitsInTheLastPlace() {
        for (double x = -6; x <= 12; x += 0.173) {
            BigDecimal erf = exactErf(x);
            BigDecimal erfc = BigDecimal.ONE.subtract(erf);
            assertEquals(erf.doubleValue(), ActivationMath.erf(x), 4 * Math.ulp(erf.doubleValue()), "erf " + x);
            assertEquals(erfc.doubleValue(), ActivationMath.erfc(x), 6 * Math.ulp(erfc.doubleValue()), "erfc " + x);
        }
        for (double x : new double[] {1e-300, 1e-9, 0.1, 0.4999999, 0.5, 0.5000001, 5.9999, 6, 6.2831, 6.2832, 6.4}) {
            double erf = exactErf(x).doubleValue();
            double erfc = BigDecimal.ONE.subtract(exactErf(x)).doubleValue();
            assertEquals(erf, ActivationMath.erf(x), 4 * Math.ulp(erf), "erf " + x);
            assertEquals(-erf, ActivationMath.erf(-x), 4 * Math.ulp(erf), "erf is odd at " + x);
            assertEquals(erfc, ActivationMath.erfc(x), 6 * Math.ulp(erfc), "erfc " + x);
        }
        assertEquals(0.0, ActivationMath.erf(0));
        assertEquals(1.0, ActivationMath.erf(Double.POSITIVE_INFINITY));
        assertEquals(-1.0, ActivationMath.erf(Double.NEGATIVE_INFINITY));
        assertEquals(2.0, ActivationMath.erfc(Double.NEGATIVE_INFINITY));
        assertTrue(Double.isNaN(ActivationMath.erf(Double.NaN)) && Double.isNaN(ActivationMath.erfc(Double.NaN)));
    }

    @Test
    void knownValues() {
        assertEquals(-3, value(Function.IDENTITY, -3));
        assertEquals(0, value(Function.RELU, -3));
        assertEquals(3, value(Function.RELU, 3));
        assertEquals(9, value(Function.RELU_SQUARED, 3));
        assertEquals(2 / (1 + Math.exp(-2)), value(Function.SILU, 2), 1e-15);
        assertEquals(0.5 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * 1.044715)), value(Function.GELU_TANH, 1), 1e-15);
        assertEquals(0.8413447460685429, value(Function.GELU_ERF, 1), 1e-15); // the normal distribution function at 1
        Activation gptOss = new Activation(Function.SILU, 1.702, 7, 7, 1);
        assertEquals(7 / (1 + Math.exp(-1.702 * 7)) * 8, ActivationMath.hidden(gptOss, 9, 9), 1e-14);
        assertEquals(0, ActivationMath.dGate(gptOss, 9, 9));
        assertEquals(0, ActivationMath.dUp(gptOss, 1, -9));
        assertEquals(ActivationMath.hidden(gptOss, 1), ActivationMath.dUp(gptOss, 1, -7), "the limit lies inside");
        assertTrue(ActivationMath.dGate(gptOss, 7, 0) > 0.9, "the limit lies inside");
    }

    private static double value(Function function, double a) {
        return ActivationMath.hidden(Activation.of(function), a);
    }

    @ParameterizedTest
    @EnumSource
    void derivativesAreFiniteDifferences(Function function) {
        double step = 1e-5;
        double alpha = function == Function.SILU ? 1.702 : 1;
        Activation limited = new Activation(function, alpha, 2, 1.5, 0.25);
        for (double a = -8; a < 8; a += 0.0937) {
            double b = 0.3 * a + 0.1;
            double da = (ActivationMath.hidden(limited, a + step, b) - ActivationMath.hidden(limited, a - step, b))
                    / (2 * step);
            double db = (ActivationMath.hidden(limited, a, b + step) - ActivationMath.hidden(limited, a, b - step))
                    / (2 * step);
            double plain =
                    (ActivationMath.hidden(limited, a + step) - ActivationMath.hidden(limited, a - step)) / (2 * step);
            assertEquals(da, ActivationMath.dGate(limited, a, b), 1e-8, function + " at " + a);
            assertEquals(db, ActivationMath.dUp(limited, a, b), 1e-8, function + " at " + a);
            assertEquals(plain, ActivationMath.dHidden(limited, a), 1e-8, function + " at " + a);
        }
    }

    @ParameterizedTest
    @EnumSource
    void hugeArgumentsHaveLimitsAndNanStaysNan(Function function) {
        Activation activation = Activation.of(function);
        for (double a : new double[] {50, 1e4, 1e100, 1e155}) {
            double right = function == Function.RELU_SQUARED ? a * a : a;
            assertEquals(right, ActivationMath.hidden(activation, a), function + " at " + a);
            assertEquals(
                    function == Function.RELU_SQUARED ? 2 * a : 1,
                    ActivationMath.dHidden(activation, a),
                    function + " at " + a);
            double left = function == Function.IDENTITY ? -a : 0;
            assertEquals(left, ActivationMath.hidden(activation, -a), 1e-19, function + " at " + -a);
            double slope = function == Function.IDENTITY ? 1 : 0;
            assertEquals(slope, ActivationMath.dHidden(activation, -a), 1e-19, function + " at " + -a);
        }
        assertTrue(Double.isNaN(ActivationMath.hidden(activation, Double.NaN)));
        assertTrue(Double.isNaN(ActivationMath.hidden(activation, 1, Double.NaN)));
    }

    @Test
    void constantsAreChecked() {
        assertThrows(IllegalArgumentException.class, () -> new Activation(Function.RELU, 2, 1, 1, 0));
        assertThrows(IllegalArgumentException.class, () -> new Activation(Function.SILU, Double.NaN, 1, 1, 0));
        assertThrows(IllegalArgumentException.class, () -> new Activation(Function.SILU, 1, 0, 1, 0));
        assertThrows(IllegalArgumentException.class, () -> new Activation(Function.SILU, 1, 1, -1, 0));
        assertThrows(IllegalArgumentException.class, () -> new Activation(Function.SILU, 1, 1, 1, Double.NaN));
        assertThrows(IllegalArgumentException.class, () -> new ExpertShape(0, 1, 1, false, false, false));
        assertThrows(IllegalArgumentException.class, () -> new ExpertShape(1, 1, 1 << 30, true, false, false));
    }
}
