package dev.dropless.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.KernelMemory.Scope;
import java.lang.foreign.MemorySegment;
import java.util.HashSet;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

class PooledMemoryTest {

    private static final ElementType TYPE = ElementType.F32;

    @Test
    void sizesShareBlocksWithinAnEighth() {
        assertEquals(4096, PooledMemory.sizeClass(0));
        assertEquals(4096, PooledMemory.sizeClass(4096));
        assertEquals(4608, PooledMemory.sizeClass(4097));
        assertEquals(4608, PooledMemory.sizeClass(4608));
        assertEquals(8192, PooledMemory.sizeClass(8000));
        assertEquals(9216, PooledMemory.sizeClass(8193));
        Random random = new Random(1);
        for (int i = 0; i < 1000; i++) {
            long bytes = 1 + (random.nextLong() >>> (1 + random.nextInt(62)));
            if (bytes > Long.MAX_VALUE / 2) {
                continue;
            }
            long size = PooledMemory.sizeClass(bytes);
            assertTrue(size >= bytes, bytes + " bytes in a block of " + size);
            assertTrue(size == 4096 || size - bytes < Long.highestOneBit(bytes) / 8 + 1, bytes + " bytes in " + size);
            assertEquals(size, PooledMemory.sizeClass(size));
        }
    }

    @Test
    void whatAClosedScopeHadIsUsedAgain() {
        try (PooledMemory memory = memory()) {
            long first = address(memory, 1000);
            assertEquals(first, address(memory, 1001), "a similar size");
            assertNotEquals(first, address(memory, 5000), "a larger one");
            try (Scope a = memory.open();
                    Scope b = memory.open()) {
                assertNotEquals(
                        a.allocate(TYPE, 10, 100).segment().address(),
                        b.allocate(TYPE, 10, 100).segment().address());
            }
        }
    }

    @Test
    void matricesHaveTheirSizeAndAlignmentAndNothingOfTheirPredecessor() {
        try (PooledMemory memory = memory()) {
            for (int i = 0; i < 3; i++) {
                try (Scope scope = memory.open()) {
                    Matrix matrix = scope.allocate(TYPE, 7, 333);
                    assertEquals(7L * 333 * 4, matrix.segment().byteSize());
                    assertEquals(0, matrix.segment().address() % Matrix.ALIGNMENT);
                    assertEquals(333, matrix.rowStride());
                    if (i > 0) {
                        assertTrue(Double.isNaN(matrix.get(3, 3)), "poisoned while assertions are on");
                    }
                    matrix.set(3, 3, 1);
                    assertEquals(0, scope.allocate(TYPE, 0, 5).rows());
                }
            }
        }
    }

    @Test
    void littleMoreIsKeptThanWasInUseAtOnce() {
        try (PooledMemory memory = memory()) {
            long most = 0;
            Random random = new Random(2);
            for (int i = 0; i < 300; i++) {
                int rows = 1 + random.nextInt(64);
                most = Math.max(most, PooledMemory.sizeClass(rows * 4096L));
                address(memory, rows * 1024);
                assertTrue(memory.freeBytes() <= most + most / 4, memory.freeBytes() + " bytes free, most " + most);
            }
        }
    }

    @Test
    void closingLeavesOpenScopesTheirMemory() {
        PooledMemory memory = memory();
        Scope scope = memory.open();
        Matrix matrix = scope.allocate(TYPE, 4, 4);
        MemorySegment before;
        try (Scope other = memory.open()) {
            before = other.allocate(TYPE, 4, 4).segment();
        }
        memory.close();
        assertFalse(before.scope().isAlive(), "free blocks go back");
        matrix.set(1, 1, 5);
        assertEquals(5, matrix.get(1, 1));
        scope.close();
        scope.close();
        assertFalse(matrix.segment().scope().isAlive());
        assertEquals(0, memory.freeBytes());
        assertThrows(IllegalStateException.class, () -> scope.allocate(TYPE, 1, 1));
    }

    @Test
    void threadsNeverShareABlock() throws InterruptedException {
        try (PooledMemory memory = memory()) {
            Set<String> faults = new HashSet<>();
            Thread[] threads = new Thread[4];
            for (int t = 0; t < threads.length; t++) {
                int own = t;
                threads[t] = Thread.ofPlatform().start(() -> {
                    for (int i = 0; i < 500; i++) {
                        try (Scope scope = memory.open()) {
                            Matrix matrix = scope.allocate(TYPE, 1, 64);
                            matrix.set(0, 63, own);
                            Thread.yield();
                            if (matrix.get(0, 63) != own) {
                                synchronized (faults) {
                                    faults.add("thread " + own);
                                }
                            }
                        }
                    }
                });
            }
            for (Thread thread : threads) {
                thread.join();
            }
            assertEquals(Set.of(), faults);
        }
    }

    private static PooledMemory memory() {
        return new PooledMemory((arena, bytes) -> arena.allocate(bytes, Matrix.ALIGNMENT));
    }

    private static long address(PooledMemory memory, int floats) {
        try (Scope scope = memory.open()) {
            return scope.allocate(TYPE, 1, floats).segment().address();
        }
    }
}
