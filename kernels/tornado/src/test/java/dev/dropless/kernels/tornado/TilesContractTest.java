package dev.dropless.kernels.tornado;

/** The contract with products computed in tiles, by groups of threads that share local memory. */
class TilesContractTest extends PlainJavaContract {

    TilesContractTest() {
        super(true);
    }
}
