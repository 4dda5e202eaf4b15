package dev.dropless.blocksparse.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import dev.dropless.blocksparse.BlockSparseMatrix;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.topology.BlockPattern;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.TestInstance;

/**
 * What the contract classes share: one opened back end, a scope of memory and seeded random numbers per test, and error
 * bounds.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class ContractSupport {

    /**
     * Allowance, in units of roundoff, for operands that are converted to the accumulation type and for the last
     * operations on a sum.
     */
    private static final int SLACK = 8;

    private Kernels opened;
    private KernelMemory.Scope scope;
    /** Restarted for every test. */
    protected Random random;

    /** What is tested. */
    abstract ProductContract backend();

    final Kernels open(int threads) {
        return backend().open(threads);
    }

    final List<ElementType> types() {
        return backend().types();
    }

    final List<ElementType> weightTypes() {
        return backend().weightTypes();
    }

    final int gridScale() {
        return backend().gridScale();
    }

    final double activationError() {
        return backend().activationError(kernels());
    }

    final double pathError() {
        return backend().pathError(kernels());
    }

    @BeforeAll
    final void openKernels() {
        opened = open(2);
    }

    @AfterAll
    final void closeKernels() {
        opened.close();
    }

    @BeforeEach
    final void openScope() {
        scope = opened.memory().open();
        random = new Random(20221211);
    }

    @AfterEach
    final void closeScope() {
        scope.close();
    }

    /** The back end under test. */
    protected final Kernels kernels() {
        return opened;
    }

    final ElementType anyType() {
        return types().get(random.nextInt(types().size()));
    }

    /** The most precise of the types that the back end takes. */
    final ElementType exactType() {
        return types().contains(ElementType.F64) ? ElementType.F64 : ElementType.F32;
    }

    /** Normal values. */
    final Operand input(ElementType type, long rows, long columns, boolean strided) {
        return new Operand(opened.memory(), scope, type, rows, columns, strided, random::nextGaussian);
    }

    /** Given values. */
    final Operand input(ElementType type, double[][] values, int columns) {
        double[] flat = Arrays.stream(values).flatMapToDouble(Arrays::stream).toArray();
        int[] next = {0};
        return new Operand(opened.memory(), scope, type, values.length, columns, false, () -> flat[next[0]++]);
    }

    /** Poisoned with NaN, which any element that is not overwritten keeps. */
    final Operand output(ElementType type, long rows, long columns, boolean strided) {
        return new Operand(opened.memory(), scope, type, rows, columns, strided, () -> Double.NaN);
    }

    static BlockSparseMatrix sparse(BlockPattern pattern, Operand data) {
        return new BlockSparseMatrix(pattern, data.matrix());
    }

    /** Unit roundoff: half the distance from 1 to the next number. */
    static double unit(ElementType type) {
        return switch (type) {
            case F64 -> 0x1p-53;
            case F32 -> 0x1p-24;
            case F16 -> 0x1p-11;
            case BF16 -> 0x1p-8;
        };
    }

    /** Half the distance between the smallest numbers of a type. */
    static double tiny(ElementType type) {
        return switch (type) {
            case F64 -> Double.MIN_VALUE;
            case F32 -> 0x1p-150;
            case F16 -> 0x1p-25;
            case BF16 -> 0x1p-134;
        };
    }

    /**
     * A priori bound of a sum of products: (terms + SLACK) units of the accumulation times the sum of absolute values,
     * then one rounding.
     */
    final double bound(double exact, double magnitude, int terms, ElementType stored) {
        double summed = (terms + SLACK) * unit(opened.accumulation()) * magnitude;
        return summed + unit(stored) * (Math.abs(exact) + summed) + tiny(stored);
    }

    final void assertProduct(Product expected, Operand actual, String what) {
        actual.assertBorderUntouched(what);
        double[][] found = actual.read();
        for (int i = 0; i < found.length; i++) {
            for (int j = 0; j < found[i].length; j++) {
                double exact = expected.value()[i][j];
                double bound = bound(exact, expected.magnitude()[i][j], expected.terms(), actual.type());
                assertNear(exact, found[i][j], bound, what, i, j);
            }
        }
    }

    /** Within the stated errors and one rounding to the stored type. */
    final void assertWithin(Expected expected, double[][] found, ElementType stored, String what) {
        assertEquals(expected.value.length, found.length, what + ": rows");
        for (int i = 0; i < found.length; i++) {
            for (int j = 0; j < found[i].length; j++) {
                double exact = expected.value[i][j];
                double error = expected.error[i][j];
                double bound = error + unit(stored) * (Math.abs(exact) + error) + tiny(stored);
                assertNear(exact, found[i][j], bound, what, i, j);
            }
        }
    }

    final void assertWithin(Expected expected, Operand found, String what) {
        found.assertBorderUntouched(what);
        assertWithin(expected, found.read(), found.type(), what);
    }

    /** Elementwise comparison where only the bound relative to each value, plus an absolute one, matters. */
    final void assertMatrix(double[][] expected, double[][] found, double relative, double absolute, String what) {
        assertEquals(expected.length, found.length, what + ": rows");
        for (int i = 0; i < found.length; i++) {
            assertEquals(expected[i].length, found[i].length, what + ": columns");
            for (int j = 0; j < found[i].length; j++) {
                double exact = expected[i][j];
                assertNear(exact, found[i][j], relative * Math.abs(exact) + absolute, what, i, j);
            }
        }
    }

    private static void assertNear(double exact, double found, double bound, String what, int i, int j) {
        if (!(Math.abs(found - exact) <= bound)) { // also where one is NaN
            fail("%s (%d,%d): expected %s +- %.2e, found %s".formatted(what, i, j, exact, bound, found));
        }
    }

    /** Bit for bit. */
    static void assertSame(double[][] expected, double[][] found, String what) {
        assertEquals(expected.length, found.length, what);
        for (int i = 0; i < found.length; i++) {
            assertTrue(Arrays.equals(expected[i], found[i]), what + ": row " + i + " differs");
        }
    }

    /** Rejects with a message that starts with the argument's name and says what was expected. */
    static void assertRejected(String argument, Runnable call) {
        try {
            call.run();
        } catch (IllegalArgumentException e) {
            String message = String.valueOf(e.getMessage());
            assertTrue(
                    message.startsWith(argument + ": expected") && message.contains(", found "),
                    "message about " + argument + ", found: " + message);
            return;
        }
        fail(argument + ": a wrong one was accepted");
    }
}
