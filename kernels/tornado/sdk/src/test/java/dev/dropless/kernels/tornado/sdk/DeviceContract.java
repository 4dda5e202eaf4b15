package dev.dropless.kernels.tornado.sdk;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.contract.BackendContract;
import dev.dropless.blocksparse.spi.Availability;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.kernels.tornado.TornadoBackend;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;

/** The contract of all back ends on the device of this machine; skipped, with the reason, where there is none. */
abstract class DeviceContract extends BackendContract {

    private static final String KERNELS = "dropless.tornado.kernels";

    private final String kernels;

    DeviceContract(String kernels) {
        this.kernels = kernels;
    }

    @BeforeAll
    static void aDeviceIsThere() {
        Availability availability = new TornadoBackend().availability();
        assumeTrue(availability.isAvailable(), availability.cause());
    }

    @AfterAll
    static void forgetTheKernels() {
        System.clearProperty(KERNELS);
    }

    @Override
    protected List<ElementType> types() {
        return List.of(ElementType.F32, ElementType.BF16, ElementType.F16);
    }

    @Override
    protected List<ElementType> weightTypes() {
        return List.of(ElementType.F32, ElementType.BF16, ElementType.F16);
    }

    @Override
    protected int gridScale() {
        return 32;
    }

    @Override
    protected Kernels open(int threads) {
        System.setProperty(KERNELS, kernels);
        return new TornadoBackend().open(BackendOptions.threads(threads));
    }
}
