package dev.dropless.blocksparse.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ActivationMath;
import dev.dropless.blocksparse.ElementType;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Activations apart from any product, against single values in double precision. */
abstract class ActivationContract extends ContractSupport {

    private static final int[][] SIZES = {{0, 3}, {1, 1}, {5, 7}, {3, 33}, {130, 16}};

    static Stream<Activation> activations() {
        return ExpertKernelsContract.activations().stream();
    }

    @ParameterizedTest
    @MethodSource("activations")
    void plainAndGated(Activation activation) {
        for (int[] size : SIZES) {
            for (boolean gated : List.of(false, true)) {
                check(activation, gated, size[0], size[1], random.nextBoolean());
            }
        }
    }

    private void check(Activation activation, boolean gated, int rows, int f, boolean strided) {
        String name = "%s gated %s [%d, %d]".formatted(activation, gated, rows, f);
        Operand pre = input(anyType(), rows, gated ? 2 * f : f, strided);
        Operand hidden = output(anyType(), rows, f, strided);
        kernels().experts().activate(activation, gated, pre.matrix(), hidden.matrix());
        Operand dHidden = input(anyType(), rows, f, strided);
        Operand dPre = output(anyType(), rows, gated ? 2 * f : f, strided);
        kernels().experts().activateBackward(activation, gated, pre.matrix(), dHidden.matrix(), dPre.matrix());
        hidden.assertBorderUntouched(name);
        dPre.assertBorderUntouched(name);

        double[][] x = pre.read();
        double[][] h = hidden.read();
        double[][] g = dHidden.read();
        double[][] d = dPre.read();
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < f; j++) {
                double a = x[i][j];
                double b = gated ? x[i][f + j] : 0;
                double size = (1 + Math.abs(a)) * (2 + Math.abs(b) + Math.abs(activation.upOffset()));
                if (gated) {
                    assertNear(ActivationMath.hidden(activation, a, b), h[i][j], size, hidden.type(), name);
                    double slope = size * Math.abs(g[i][j]);
                    assertNear(g[i][j] * ActivationMath.dGate(activation, a, b), d[i][j], slope, dPre.type(), name);
                    assertNear(g[i][j] * ActivationMath.dUp(activation, a, b), d[i][f + j], slope, dPre.type(), name);
                } else {
                    assertNear(ActivationMath.hidden(activation, a), h[i][j], size, hidden.type(), name);
                    double slope = size * Math.abs(g[i][j]);
                    assertNear(g[i][j] * ActivationMath.dHidden(activation, a), d[i][j], slope, dPre.type(), name);
                }
            }
        }
    }

    private void assertNear(double expected, double found, double size, ElementType type, String name) {
        double computed = activationError() * (size + Math.abs(expected));
        double stored = unit(type) * (Math.abs(expected) + computed) + tiny(type);
        assertEquals(expected, found, computed + stored, name);
    }

    @Test
    void backwardMayOverwritePreActivations() {
        Activation activation = Activation.of(Activation.Function.SILU);
        Operand pre = input(exactType(), 4, 10, false);
        Operand dHidden = input(exactType(), 4, 5, false);
        Operand apart = output(exactType(), 4, 10, false);
        kernels().experts().activateBackward(activation, true, pre.matrix(), dHidden.matrix(), apart.matrix());
        kernels().experts().activateBackward(activation, true, pre.matrix(), dHidden.matrix(), pre.matrix());
        assertSame(apart.read(), pre.read(), "in place");
    }

    @Test
    void wrongShapesAreRefused() {
        Activation activation = Activation.of(Activation.Function.RELU);
        Operand pre = input(exactType(), 4, 6, false);
        Operand hidden = output(exactType(), 4, 6, false);
        String gated = assertThrows(
                        IllegalArgumentException.class,
                        () -> kernels().experts().activate(activation, true, pre.matrix(), hidden.matrix()))
                .getMessage();
        assertEquals("pre: expected [4, 12], found %s [4, 6]".formatted(exactType()), gated);
        Operand dPre = output(exactType(), 3, 6, false);
        String rows = assertThrows(
                        IllegalArgumentException.class,
                        () -> kernels()
                                .experts()
                                .activateBackward(activation, false, pre.matrix(), hidden.matrix(), dPre.matrix()))
                .getMessage();
        assertEquals("dPre: expected [4, 6], found %s [3, 6]".formatted(exactType()), rows);
    }
}
