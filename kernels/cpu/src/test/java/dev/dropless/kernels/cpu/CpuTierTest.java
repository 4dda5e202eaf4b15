package dev.dropless.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Backends;
import dev.dropless.blocksparse.spi.Kernels;
import jdk.incubator.vector.FloatVector;
import org.junit.jupiter.api.Test;

class CpuTierTest {

    /** The test runs with the incubator module and the optimising compiler, so the vector tier must be there. */
    @Test
    void takesTheBestTier() {
        assertEquals(CpuTier.VECTOR, CpuTier.select(null).tier());
        assertEquals(CpuTier.VECTOR, CpuTier.best());
    }

    @Test
    void forced() {
        assertEquals(CpuTier.SCALAR, CpuTier.select("scalar").tier());
        assertEquals(CpuTier.VECTOR, CpuTier.select("vector").tier());
        String message = assertThrows(IllegalArgumentException.class, () -> CpuTier.select("Vector"))
                .getMessage();
        assertEquals("dropless.cpu.tier: expected one of vector, scalar, found \"Vector\"", message);
    }

    @Test
    void backendIsFoundAndDescribed() {
        assertInstanceOf(CpuBackend.class, Backends.byName("cpu"));
        assertTrue(new CpuBackend().availability().isAvailable());
        try (Kernels kernels = new CpuBackend().open(BackendOptions.threads(2))) {
            int bits = Math.min(512, FloatVector.SPECIES_PREFERRED.vectorBitSize());
            assertEquals("vector %d bit, 2 threads".formatted(bits), kernels.description());
            assertEquals(2, kernels.tasks().parallelism());
        }
    }
}
