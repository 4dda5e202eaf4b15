package dev.dropless.blocksparse.contract;

import static dev.dropless.blocksparse.contract.Product.op;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.dropless.blocksparse.BlockSparseMatrix;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.topology.BcsrPattern;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Level 1 of a back end against dense products in double precision. */
abstract class BlockSparseContract extends ContractSupport {

    private static final int[] SIZES = {0, 1, 7, 16, 37};

    /** One combination of everything that is no shape. */
    private record Variant(Transpose first, Transpose second, boolean accumulate, boolean strided) {

        static List<Variant> all() {
            List<Variant> all = new ArrayList<>();
            for (int bits = 0; bits < 16; bits++) {
                Transpose first = (bits & 1) == 0 ? Transpose.N : Transpose.T;
                Transpose second = (bits & 2) == 0 ? Transpose.N : Transpose.T;
                all.add(new Variant(first, second, (bits & 4) != 0, (bits & 8) != 0));
            }
            return all;
        }
    }

    static Stream<PatternCase> patterns() {
        return PatternCase.all();
    }

    private Operand dense(long rows, long columns, Transpose transpose, boolean strided) {
        return transpose == Transpose.N
                ? input(anyType(), rows, columns, strided)
                : input(anyType(), columns, rows, strided);
    }

    private Operand target(long rows, long columns, Variant variant) {
        return variant.accumulate
                ? input(anyType(), rows, columns, variant.strided)
                : output(anyType(), rows, columns, variant.strided);
    }

    private static double[][] values(Operand operand, Transpose transpose) {
        return op(operand.read(), (int) operand.matrix().columns(), transpose);
    }

    private void assertResult(Product product, double[][] before, Operand c, Variant variant, String what) {
        assertProduct(variant.accumulate ? product.plus(before) : product, c, what + " " + variant);
    }

    @ParameterizedTest
    @MethodSource("patterns")
    void sddIsTheSampledProduct(PatternCase test) {
        for (Variant variant : Variant.all()) {
            int inner = SIZES[random.nextInt(SIZES.length)];
            Operand a = dense(test.rows(), inner, variant.first, variant.strided);
            Operand b = dense(inner, test.columns(), variant.second, variant.strided);
            Operand s = output(anyType(), 1, test.pattern().elements(), variant.strided);
            kernels()
                    .blockSparse()
                    .sdd(a.matrix(), variant.first, b.matrix(), variant.second, sparse(test.pattern(), s));
            Product full = Product.of(values(a, variant.first), values(b, variant.second), test.columns());
            Product expected = new Product(test.sampled(full.value()), test.sampled(full.magnitude()), inner);
            assertProduct(expected, s, test + " inner " + inner + " " + variant);
        }
    }

    @ParameterizedTest
    @MethodSource("patterns")
    void dsdIsTheProduct(PatternCase test) {
        for (Variant variant : Variant.all()) {
            int columns = SIZES[random.nextInt(SIZES.length)];
            Operand data = input(anyType(), 1, test.pattern().elements(), variant.strided);
            double[][] s = op(test.dense(data.read()), test.columns(), variant.first);
            int inner = variant.first == Transpose.N ? test.columns() : test.rows();
            Operand b = dense(inner, columns, variant.second, variant.strided);
            Operand c = target(s.length, columns, variant);
            double[][] before = c.read();
            kernels()
                    .blockSparse()
                    .dsd(
                            sparse(test.pattern(), data),
                            variant.first,
                            b.matrix(),
                            variant.second,
                            c.matrix(),
                            variant.accumulate);
            Product product = Product.of(s, values(b, variant.second), columns);
            assertResult(product, before, c, variant, test + " columns " + columns);
        }
    }

    @ParameterizedTest
    @MethodSource("patterns")
    void ddsIsTheProduct(PatternCase test) {
        for (Variant variant : Variant.all()) {
            int rows = SIZES[random.nextInt(SIZES.length)];
            Operand data = input(anyType(), 1, test.pattern().elements(), variant.strided);
            double[][] s = op(test.dense(data.read()), test.columns(), variant.second);
            int columns = variant.second == Transpose.N ? test.columns() : test.rows();
            Operand a = dense(rows, s.length, variant.first, variant.strided);
            Operand c = target(rows, columns, variant);
            double[][] before = c.read();
            kernels()
                    .blockSparse()
                    .dds(
                            a.matrix(),
                            variant.first,
                            sparse(test.pattern(), data),
                            variant.second,
                            c.matrix(),
                            variant.accumulate);
            Product product = Product.of(values(a, variant.first), s, columns);
            assertResult(product, before, c, variant, test + " rows " + rows);
        }
    }

    @Test
    void gemmIsTheProductAtAwkwardSizes() {
        int[][] shapes = {
            {0, 5, 3},
            {4, 0, 3},
            {4, 5, 0},
            {1, 1, 1},
            {1, 33, 7},
            {33, 1, 7},
            {7, 16, 1},
            {16, 16, 16},
            {33, 100, 31},
            {100, 7, 33},
            {17, 129, 65}
        };
        for (int[] shape : shapes) {
            for (Variant variant : Variant.all()) {
                Operand a = dense(shape[0], shape[1], variant.first, variant.strided);
                Operand b = dense(shape[1], shape[2], variant.second, variant.strided);
                Operand c = target(shape[0], shape[2], variant);
                double[][] before = c.read();
                kernels()
                        .blockSparse()
                        .gemm(a.matrix(), variant.first, b.matrix(), variant.second, c.matrix(), variant.accumulate);
                Product product = Product.of(values(a, variant.first), values(b, variant.second), shape[2]);
                assertResult(
                        product,
                        before,
                        c,
                        variant,
                        List.of(shape[0], shape[1], shape[2]).toString());
            }
        }
    }

    @Test
    void everyTypeOfOperandAndResultWorks() {
        for (ElementType ta : types()) {
            for (ElementType tb : types()) {
                for (ElementType tc : types()) {
                    Operand a = input(ta, 9, 21, false);
                    Operand b = input(tb, 21, 10, false);
                    Operand c = output(tc, 9, 10, false);
                    kernels().blockSparse().gemm(a.matrix(), Transpose.N, b.matrix(), Transpose.N, c.matrix(), false);
                    assertProduct(Product.of(a.read(), b.read(), 10), c, ta + " " + tb + " " + tc);
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("patterns")
    void elementwiseProductAndConversions(PatternCase test) {
        long elements = test.pattern().elements();
        Operand x = input(anyType(), 1, elements, false);
        Operand y = input(anyType(), 1, elements, false);
        Operand result = output(anyType(), 1, elements, true);
        kernels()
                .blockSparse()
                .multiply(sparse(test.pattern(), x), sparse(test.pattern(), y), sparse(test.pattern(), result));
        double[][] product = new double[1][(int) elements];
        double[][] magnitude = new double[1][(int) elements];
        double[][] left = x.read();
        double[][] right = y.read();
        for (int i = 0; i < elements; i++) {
            product[0][i] = left[0][i] * right[0][i];
            magnitude[0][i] = Math.abs(product[0][i]);
        }
        assertProduct(new Product(product, magnitude, 1), result, test + " multiply");

        Operand dense = output(x.type(), test.rows(), test.columns(), true);
        kernels().blockSparse().toDense(sparse(test.pattern(), x), dense.matrix());
        assertSame(test.dense(left), dense.read(), test + " toDense");
        dense.assertBorderUntouched(test + " toDense");

        Operand back = output(x.type(), 1, elements, true);
        kernels().blockSparse().fromDense(dense.matrix(), sparse(test.pattern(), back));
        assertSame(left, back.read(), test + " fromDense");
        back.assertBorderUntouched(test + " fromDense");
    }

    @Test
    void multiplyMayOverwriteAFactor() {
        PatternCase test = PatternCase.random(4, 3, 3, 0.5);
        Operand x = input(exactType(), 1, test.pattern().elements(), false);
        double[][] before = x.read();
        BlockSparseMatrix s = sparse(test.pattern(), x);
        kernels().blockSparse().multiply(s, s, s);
        double[][] after = x.read();
        for (int i = 0; i < after[0].length; i++) {
            double square = before[0][i] * before[0][i];
            assertEquals(square, after[0][i], bound(square, square, 1, x.type()));
        }
    }

    @Test
    void valuesOutsideTheBlocksDoNotEnter() {
        // Column block 1 has no blocks, so row block 1 of b is never read, whatever is there.
        PatternCase test = new PatternCase("gap", BcsrPattern.ofMask(1, 2, 8, new boolean[] {true, false}));
        Operand data = input(exactType(), 1, 64, false);
        Operand b = input(exactType(), 16, 5, false);
        Operand c = output(exactType(), 8, 5, false);
        Product expected = Product.of(test.dense(data.read()), b.read(), 5);
        for (int i = 8; i < 16; i++) {
            b.set(i, i % 5, Double.NaN);
        }
        kernels()
                .blockSparse()
                .dsd(sparse(test.pattern(), data), Transpose.N, b.matrix(), Transpose.N, c.matrix(), false);
        assertProduct(expected, c, "NaN outside");
    }

    @Test
    void nanStaysInItsRowAndZeroTimesNanIsNan() {
        Operand a = input(exactType(), 5, 3, false);
        Operand b = input(exactType(), 3, 4, false);
        Operand clean = output(exactType(), 5, 4, false);
        Operand dirty = output(exactType(), 5, 4, false);
        kernels().blockSparse().gemm(a.matrix(), Transpose.N, b.matrix(), Transpose.N, clean.matrix(), false);
        a.set(2, 1, Double.NaN);
        b.set(1, 3, 0);
        kernels().blockSparse().gemm(a.matrix(), Transpose.N, b.matrix(), Transpose.N, dirty.matrix(), false);
        double[][] expected = clean.read();
        double[][] found = dirty.read();
        for (int j = 0; j < 4; j++) {
            assertEquals(Double.NaN, found[2][j], "row with a NaN, column " + j);
            for (int i : new int[] {0, 1, 3, 4}) {
                if (j != 3) {
                    assertEquals(expected[i][j], found[i][j], "row " + i + ", column " + j);
                }
            }
        }
    }

    @Test
    void resultsDoNotDependOnThreads() {
        PatternCase test = PatternCase.random(16, 9, 7, 0.6);
        ElementType type = types().contains(ElementType.F32) ? ElementType.F32 : exactType();
        Operand a = input(type, test.rows(), 75, true);
        Operand b = input(type, 75, test.columns(), true);
        List<double[][]> first = List.of();
        for (int threads = 1; threads <= 3; threads++) {
            try (Kernels other = open(threads)) {
                Operand s = output(type, 1, test.pattern().elements(), false);
                Operand right = output(type, test.rows(), 75, false);
                Operand left = output(type, 75, test.columns(), false);
                Operand dense = output(type, 75, 75, false);
                BlockSparseMatrix product = sparse(test.pattern(), s);
                other.blockSparse().sdd(a.matrix(), Transpose.N, b.matrix(), Transpose.N, product);
                other.blockSparse().dsd(product, Transpose.N, b.matrix(), Transpose.T, right.matrix(), false);
                other.blockSparse().dds(a.matrix(), Transpose.T, product, Transpose.N, left.matrix(), false);
                other.blockSparse().gemm(b.matrix(), Transpose.N, b.matrix(), Transpose.T, dense.matrix(), false);
                List<double[][]> results = List.of(s.read(), right.read(), left.read(), dense.read());
                for (int i = 0; i < first.size(); i++) {
                    assertSame(first.get(i), results.get(i), "result " + i + " with " + threads + " threads");
                }
                first = first.isEmpty() ? results : first;
            }
        }
    }
}
