package dev.dropless.blocksparse.spi;

import java.util.List;
import java.util.SortedMap;

/**
 * How a back end launches its kernels, where there is a choice that only measuring decides. What is chosen changes
 * times alone, within the rounding of results. Not for use while other threads compute.
 */
public interface LaunchTuning {

    /**
     * Returns what is launched.
     *
     * @return names of operations, in a fixed order
     */
    List<String> operations();

    /**
     * Returns the ways in which an operation can be launched.
     *
     * @param operation one of {@link #operations}
     * @return the candidates, in the back end's own words
     * @throws IllegalArgumentException if there is no such operation
     */
    List<String> candidates(String operation);

    /**
     * Launches an operation in one way from now on, whatever its sizes.
     *
     * @param operation one of {@link #operations}
     * @param candidate one of its {@link #candidates}
     * @throws IllegalArgumentException if there is no such operation or candidate
     */
    void use(String operation, String candidate);

    /** Launches everything as it was when the back end was opened. */
    void reset();

    /**
     * Writes choices down in the form that the back end reads. Operations that are not named, and fewer rows than the
     * fewest named, keep the lines they have.
     *
     * @param choices by operation: from how many rows per expert on which candidate is to be used
     * @return the content of a file
     * @throws IllegalArgumentException if there is no such operation or candidate
     */
    String file(SortedMap<String, SortedMap<Long, String>> choices);
}
