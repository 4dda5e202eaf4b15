package dev.dropless.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.spi.Kernels;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;

/** The contract with the Hopper engine, whose kernels run on the CPU; most of its shapes are left to the portable one, which must not be noticed. */
class EmulatedHopperContractTest extends CudaContract {

    private static MockDriver driver;

    @BeforeAll
    static void load() {
        driver = MockDriver.emulating();
    }

    @AfterAll
    static void nothingIsLeft() {
        assertThat(driver.openHandles()).isZero();
        assertThat(driver.openBytes()).isZero();
    }

    @Override
    protected List<ElementType> types() {
        return List.of(ElementType.BF16, ElementType.F16);
    }

    @Override
    protected int gridScale() {
        return 64;
    }

    @Override
    protected Kernels open(int threads) {
        return driver.open(CudaEngine.HOPPER, HopperTuning.load(), threads);
    }
}
