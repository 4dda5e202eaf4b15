package dev.dropless.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.contract.ProductContract;
import dev.dropless.blocksparse.spi.Kernels;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;

/**
 * The contract of products with the Hopper engine, whose kernels run on the CPU; most of its shapes are left to the portable one, which must not be noticed. The rest of the contract is in F32, which
 * the engine never takes, or in sizes so small here that it takes none: {@link EmulatedContractTest} holds that.
 */
class EmulatedHopperContractTest extends ProductContract {

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
        return List.of(ElementType.BF16);
    }

    @Override
    protected List<ElementType> weightTypes() {
        return types();
    }

    @Override
    protected double weightedFactorError(ElementType left, ElementType right) {
        return CudaContract.roundedFactorError(left, right);
    }

    @Override
    protected Kernels open(int threads) {
        return driver.open(CudaEngine.HOPPER, HopperTuning.load(), threads);
    }
}
