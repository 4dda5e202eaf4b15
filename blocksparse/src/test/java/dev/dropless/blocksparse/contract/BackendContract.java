package dev.dropless.blocksparse.contract;

import org.junit.jupiter.api.Nested;

/**
 * What every back end must do. A back end's test extends this class, says how to open it, and overrides what it cannot
 * take; the nested classes are the tests.
 */
public abstract class BackendContract extends ProductContract {

    /** Activations alone. */
    @Nested
    class Activations extends ActivationContract {
        @Override
        BackendContract backend() {
            return BackendContract.this;
        }
    }

    /** Level 2 as a whole. */
    @Nested
    class Path extends ExpertPathContract {
        @Override
        BackendContract backend() {
            return BackendContract.this;
        }
    }

    /** Level 2 against the composition of level 1. */
    @Nested
    class Composition extends CompositionContract {
        @Override
        BackendContract backend() {
            return BackendContract.this;
        }
    }

    /** A worked example. */
    @Nested
    class Golden extends GoldenContract {
        @Override
        BackendContract backend() {
            return BackendContract.this;
        }
    }

    /** Other projects' test grids. */
    @Nested
    class Grids extends GridContract {
        @Override
        BackendContract backend() {
            return BackendContract.this;
        }
    }

    /** Import, export and storage of weights. */
    @Nested
    class Weights extends ExpertWeightsContract {
        @Override
        BackendContract backend() {
            return BackendContract.this;
        }
    }

    /** Weights in 8 bits. */
    @Nested
    class Int8Weights extends Int8WeightsContract {
        @Override
        BackendContract backend() {
            return BackendContract.this;
        }
    }

    /** Opening, memory and closing. */
    @Nested
    class Lifecycle extends KernelsContract {
        @Override
        BackendContract backend() {
            return BackendContract.this;
        }
    }

    /** Refused operands. */
    @Nested
    class Checks extends OperandChecksContract {
        @Override
        BackendContract backend() {
            return BackendContract.this;
        }
    }
}
