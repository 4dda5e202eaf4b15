package dev.dropless.cli.cases;

import static org.assertj.core.api.Assertions.assertThat;

import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Backends;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.testdata.TestData;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The explanation of errors in bfloat16 is no excuse for wrong ones. */
class StorageRoundingTest {

    private static final Path CASE = TestData.path("oracle/nllb_moe/drops.safetensors");
    private static final String GRADIENT = "case.grad_input";

    @Test
    void roundingExplainsAnErrorButNotAnotherOnTopOfIt() throws Exception {
        try (Kernels kernels = Backends.byName("reference").open(BackendOptions.threads(1));
                CaseFile file = CaseFile.open(CASE)) {
            CaseEvaluator evaluator = new CaseEvaluator(kernels, CasePrecision.BF16, EvalPath.FUSED);
            CaseResults results = evaluator.evaluate(file);
            assertThat(row(evaluator.compare(file, results)).passed()).isFalse();
            assertThat(row(evaluator.check(file, results)).passed()).isTrue();

            double[] values = results.tensors().get(GRADIENT).values();
            for (int i = 0; i < values.length; i++) {
                values[i] *= 1.01;
            }
            CaseCheck.Row wrong = row(evaluator.check(file, results));
            assertThat(wrong.passed()).isFalse();
            assertThat(wrong.toString()).startsWith("FAIL case.grad_input").contains("1.0e-02 from double precision");
        }
    }

    private static CaseCheck.Row row(List<CaseCheck.Row> rows) {
        return rows.stream()
                .filter(row -> row.name().equals(GRADIENT))
                .findFirst()
                .orElseThrow();
    }
}
