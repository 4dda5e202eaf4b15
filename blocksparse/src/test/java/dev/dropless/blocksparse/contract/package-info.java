/** What every back end must do: the test of a back end extends {@link dev.dropless.blocksparse.contract.BackendContract}. */
@NullMarked
package dev.dropless.blocksparse.contract;

import org.jspecify.annotations.NullMarked;
