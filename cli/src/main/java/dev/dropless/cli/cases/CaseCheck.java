package dev.dropless.cli.cases;

import dev.dropless.cli.cases.CaseResults.Role;
import dev.dropless.cli.cases.CaseResults.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/** Compares computed tensors with stored ones. */
public final class CaseCheck {

    private CaseCheck() {}

    /**
     * One compared tensor.
     *
     * @param name its name
     * @param error ||computed - stored|| / ||stored||; infinite where that is undefined
     * @param maximum largest absolute difference
     * @param limit what the error may be
     * @param passed whether it agrees
     * @param problem why it could not be compared, or null
     * @param note what explains an error beyond the limit, or null
     */
    public record Row(
            String name,
            double error,
            double maximum,
            double limit,
            boolean passed,
            @Nullable String problem,
            @Nullable String note) {

        /** The same with an explanation for which it passes after all, or does not. */
        Row judged(boolean explained, String explanation) {
            return new Row(name, error, maximum, limit, explained, problem, explanation);
        }

        @Override
        public String toString() {
            return problem != null
                    ? "FAIL %s: %s".formatted(name, problem)
                    : "%s %s: error %.2e, largest difference %.2e, limit %.0e%s"
                            .formatted(
                                    passed ? "ok  " : "FAIL",
                                    name,
                                    error,
                                    maximum,
                                    limit,
                                    note == null ? "" : ", " + note);
        }
    }

    /**
     * Compares everything that the case stores as a result.
     *
     * @param file the case
     * @param results what was computed
     * @param isInput which of the case's tensors are no results
     * @param precision how it was computed
     * @return a row for each result, in the order of the file; one that was not computed has failed
     */
    public static List<Row> compare(
            CaseFile file, CaseResults results, Predicate<String> isInput, CasePrecision precision) {
        List<Row> rows = new ArrayList<>();
        for (String name : file.names()) {
            Tensor computed = results.tensors().get(name);
            if (computed != null) {
                rows.add(compare(file, name, computed, precision));
            } else if (!isInput.test(name)) {
                rows.add(new Row(
                        name, Double.NaN, Double.NaN, 0, false, "expected a result, found none computed", null));
            }
        }
        return rows;
    }

    private static Row compare(CaseFile file, String name, Tensor computed, CasePrecision precision) {
        double[] stored = file.doubles(name);
        if (stored.length != computed.values().length) {
            return new Row(
                    name,
                    Double.NaN,
                    Double.NaN,
                    0,
                    false,
                    "expected %d elements, found %d".formatted(stored.length, computed.values().length),
                    null);
        }
        double limit = computed.role() == Role.INTEGER
                ? 0
                : precision.limit(computed.role(), file.tensor(name).type());
        double negligible = computed.role() == Role.INTEGER ? 0 : precision.negligible();
        Difference difference = Difference.of(computed.values(), stored);
        return new Row(
                name,
                difference.relative(),
                difference.maximum(),
                limit,
                difference.relative() <= limit || difference.maximum() <= negligible,
                null,
                null);
    }
}
