package dev.dropless.kernels.tornado;

/** The contract with products computed one element at a time. */
class LoopsContractTest extends PlainJavaContract {

    LoopsContractTest() {
        super(false);
    }
}
