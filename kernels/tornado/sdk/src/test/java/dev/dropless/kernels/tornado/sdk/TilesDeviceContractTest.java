package dev.dropless.kernels.tornado.sdk;

/** The contract on the device, products in tiles of local memory. */
class TilesDeviceContractTest extends DeviceContract {

    TilesDeviceContractTest() {
        super("tiles");
    }
}
