package dev.dropless.kernels.tornado.sdk;

/** The contract on the device, products with one thread for each element. */
class LoopsDeviceContractTest extends DeviceContract {

    LoopsDeviceContractTest() {
        super("loops");
    }
}
