package dev.dropless.cli.comparison;

import java.util.ArrayList;
import java.util.List;

/**
 * One row of a correctness table.
 *
 * @param what which results were compared
 * @param error ||a - b|| / ||b||
 * @param limit largest error that passes
 */
public record Agreement(String what, double error, double limit) {

    /** Single precision: sums of a few thousand products, each rounded to 2^-24. */
    public static final double SINGLE = 1e-5;

    /** The router's gradient loses digits where the softmax cancels. */
    private static final double SINGLE_ROUTER = 2e-4;

    /**
     * Tells whether the results agree.
     *
     * @return true if the error is a number within the limit
     */
    public boolean passed() {
        return error <= limit;
    }

    /**
     * Makes a row for each compared tensor.
     *
     * @param title what is compared with what
     * @param computed one side
     * @param expected the other side
     * @return the rows
     */
    public static List<Agreement> inSinglePrecision(String title, Outcome computed, Outcome expected) {
        List<Agreement> rows = new ArrayList<>();
        for (Outcome.Part part : computed.against(expected)) {
            double limit = part.what().startsWith("router") ? SINGLE_ROUTER : SINGLE;
            rows.add(new Agreement(title + ": " + part.what(), part.difference().relative(), limit));
        }
        return rows;
    }
}
