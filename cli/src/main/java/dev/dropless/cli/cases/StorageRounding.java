package dev.dropless.cli.cases;

import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Backends;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.cli.cases.CaseResults.Tensor;
import dev.dropless.safetensors.SafetensorsException;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;

/**
 * Explains results in bfloat16 that are beyond their limit, or does not. A clamp or a ReLU has a jump in its derivative: where rounding a weight or a
 * pre-activation moves a value across it, a gradient changes by as much as it is large, however well the sums are computed. Such a result passes if
 * <ol>
 *   <li>the same layer computed in double precision without rounding agrees with the stored result, so that the formulas are right, and
 *   <li>the same layer computed in double precision from weights and activations that are stored in bfloat16 is as far from the stored result, and agrees
 *       with this one to within half a unit of bfloat16, so that the kernels add nothing to what storing rounds away.
 * </ol>
 */
final class StorageRounding {

    /** Half a unit in the last place of bfloat16: sums in single precision change how a few numbers are rounded when they are stored. */
    private static final double AGREEMENT = 0x1p-9;

    private static final String REFERENCE = "reference";

    private StorageRounding() {}

    /** Judges the rows that have not passed; the others stay as they are. */
    static List<CaseCheck.Row> judge(CaseFile file, CaseResults results, List<CaseCheck.Row> rows, EvalPath path)
            throws SafetensorsException {
        try (Kernels reference = Backends.byName(REFERENCE).open(BackendOptions.threads(1))) {
            CaseEvaluator exact = new CaseEvaluator(reference, CasePrecision.F64, path);
            Map<String, CaseCheck.Row> formulas = new HashMap<>();
            exact.compare(file, exact.evaluate(file)).forEach(row -> formulas.put(row.name(), row));
            CaseResults rounded = new CaseEvaluator(reference, CasePrecision.BF16, path).evaluate(file);
            return rows.stream()
                    .map(row -> row.passed() || row.problem() != null
                            ? row
                            : judge(
                                    row,
                                    Objects.requireNonNull(formulas.get(row.name())),
                                    Objects.requireNonNull(results.tensors().get(row.name())),
                                    Objects.requireNonNull(rounded.tensors().get(row.name()))))
                    .toList();
        }
    }

    private static CaseCheck.Row judge(CaseCheck.Row row, CaseCheck.Row formula, Tensor found, Tensor rounded) {
        double distance = Difference.of(found.values(), rounded.values()).relative();
        boolean explained = formula.passed() && distance <= AGREEMENT;
        String note = String.format(
                Locale.ROOT,
                "%.1e from double precision with the same numbers in bfloat16 (limit %.0e), which without rounding %s",
                distance,
                AGREEMENT,
                formula.passed() ? "agrees" : "does not agree");
        return row.judged(explained, note);
    }
}
