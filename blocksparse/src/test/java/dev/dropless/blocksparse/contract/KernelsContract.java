package dev.dropless.blocksparse.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.MemorySpace;
import dev.dropless.blocksparse.spi.ExpertPlan;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;

/** What surrounds the products: description, memory, tasks, closing. */
abstract class KernelsContract extends ContractSupport {

    @Test
    void describesItself() {
        assertFalse(kernels().name().isBlank());
        assertEquals(1, kernels().description().lines().count());
        ElementType accumulation = kernels().accumulation();
        assertTrue(accumulation == ElementType.F32 || accumulation == ElementType.F64, accumulation.name());
    }

    @Test
    void closingTwiceDoesNothing() {
        Kernels other = open(2);
        KernelMemory.Scope scope = other.memory().open();
        scope.close();
        scope.close();
        ExpertPlan plan = other.experts().plan(PatternCase.sorted(3, 0, 2));
        assertEquals(5, plan.topology().rows());
        plan.close();
        plan.close();
        other.close();
        other.close();
    }

    @Test
    void scopesGiveAlignedMemoryOfTheAskedShape() {
        try (KernelMemory.Scope scope = kernels().memory().open()) {
            for (ElementType type : types()) {
                Matrix matrix = scope.allocate(type, 3, 5);
                assertEquals(type, matrix.type());
                assertEquals(3, matrix.rows());
                assertEquals(5, matrix.columns());
                assertEquals(5, matrix.rowStride());
                assertEquals(kernels().memory().space(), matrix.space());
                assertEquals(0, matrix.segment().address() % Matrix.ALIGNMENT);
                assertEquals(0, scope.allocate(type, 0, 5).rows());
                assertEquals(0, scope.allocate(type, 5, 0).columns());
            }
        }
    }

    @Test
    void copyConvertsBetweenAllTypesAndStrides() {
        for (ElementType from : types()) {
            for (ElementType to : types()) {
                Operand source = input(from, 6, 7, true);
                Operand target = output(to, 6, 7, true);
                kernels().memory().copy(source.matrix(), target.matrix());
                target.assertBorderUntouched(from + " to " + to);
                double[][] values = source.read();
                double[][] found = target.read();
                Matrix rounded =
                        new Matrix(MemorySegment.ofArray(new byte[42 * to.bytes()]), to, 0, 6, 7, 7, MemorySpace.HOST);
                for (int i = 0; i < 6; i++) {
                    for (int j = 0; j < 7; j++) {
                        rounded.set(i, j, values[i][j]);
                        assertEquals(rounded.get(i, j), found[i][j], from + " to " + to);
                    }
                }
            }
        }
        Operand wide = input(exactType(), 2, 3, false);
        Operand high = output(exactType(), 3, 2, false);
        assertRejected("source", () -> kernels().memory().copy(wide.matrix(), high.matrix()));
    }

    @Test
    void tasksRunEachIndexOnce() {
        for (int threads = 1; threads <= 3; threads++) {
            try (Kernels other = open(threads)) {
                assertTrue(other.tasks().parallelism() >= 1);
                AtomicIntegerArray calls = new AtomicIntegerArray(1000);
                other.tasks().run(1000, calls::incrementAndGet);
                other.tasks().run(0, calls::incrementAndGet);
                for (int i = 0; i < 1000; i++) {
                    assertEquals(1, calls.get(i), "calls of task " + i);
                }
            }
        }
    }
}
