package dev.dropless.cli.cases;

import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.cli.BadInput;
import dev.dropless.moe.family.Families;
import dev.dropless.moe.family.Family;
import dev.dropless.moe.router.Routing;
import dev.dropless.safetensors.SafetensorsException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * Computes cases.
 *
 * @param kernels what computes
 * @param precision in which types
 * @param path how experts are computed
 */
public record CaseEvaluator(Kernels kernels, CasePrecision precision, EvalPath path) {

    private static final List<String> KINDS = List.of("topology", "block_sparse_matmul", "moe_block", "aux_loss");

    /**
     * Says why a case cannot be computed.
     *
     * @param file the case
     * @return what is not supported, as one line; empty if it can be computed
     */
    public static Optional<String> unsupported(CaseFile file) {
        String kind = file.metadata("kind");
        if (!KINDS.contains(kind)) {
            return Optional.of("kind: expected one of %s, found \"%s\"".formatted(String.join(", ", KINDS), kind));
        }
        if (kind.equals("moe_block")) {
            String family = file.metadata("family");
            List<String> known = Families.all().stream().map(Family::name).toList();
            if (!known.contains(family)) {
                return Optional.of(
                        "family: expected one of %s, found \"%s\"".formatted(String.join(", ", known), family));
            }
        }
        return Optional.empty();
    }

    /**
     * Computes a case.
     *
     * @param file the case
     * @return everything it has results for
     * @throws SafetensorsException if what the case says cannot be read
     * @throws IllegalArgumentException if it contradicts itself
     */
    public CaseResults evaluate(CaseFile file) throws SafetensorsException {
        CaseResults results = switch (file.metadata("kind")) {
            case "topology" -> TopologyCase.evaluate(file);
            case "block_sparse_matmul" -> MatmulCase.evaluate(file, kernels, precision.operands());
            case "moe_block" -> MoeBlockCase.evaluate(file, this);
            case "aux_loss" -> AuxLossCase.evaluate(file);
            default -> throw new IllegalArgumentException(unsupported(file).orElse(file.metadata("kind")));
        };
        results.keepThoseOf(file);
        return results;
    }

    /**
     * Routes the tokens of a case.
     *
     * @param file a case of kind {@code moe_block}
     * @return what its layer's router decides
     * @throws SafetensorsException if what the case says cannot be read
     * @throws IllegalArgumentException if it is of another kind, or contradicts itself
     */
    public Routing routing(CaseFile file) throws SafetensorsException {
        if (!file.metadata("kind").equals("moe_block")) {
            throw new BadInput("%s: metadata key kind: expected \"moe_block\", found \"%s\""
                    .formatted(file.path(), file.metadata("kind")));
        }
        return MoeBlockCase.route(file, this);
    }

    /**
     * Compares results with those the case stores. In bfloat16 some gradients of layers with limits or kinks in their activations are farther away than the
     * rounding of numbers explains, because rounding moves values across them: see {@link StorageRounding}.
     *
     * @param file the case
     * @param results what {@link #evaluate} made of it
     * @return a row for each stored result
     * @throws SafetensorsException if what the case says cannot be read
     */
    public List<CaseCheck.Row> check(CaseFile file, CaseResults results) throws SafetensorsException {
        List<CaseCheck.Row> rows = compare(file, results);
        boolean beyond = rows.stream().anyMatch(row -> !row.passed());
        return beyond
                        && precision == CasePrecision.BF16
                        && file.metadata("kind").equals("moe_block")
                ? StorageRounding.judge(file, results, rows, path)
                : rows;
    }

    /** Against the stored results alone. */
    List<CaseCheck.Row> compare(CaseFile file, CaseResults results) {
        return CaseCheck.compare(
                file,
                results,
                switch (file.metadata("kind")) {
                    case "topology" -> TopologyCase::isInput;
                    case "block_sparse_matmul" -> MatmulCase::isInput;
                    case "aux_loss" -> AuxLossCase::isInput;
                    default -> MoeBlockCase::isInput;
                },
                precision);
    }

    /**
     * Describes the computation, for the metadata of a file of results.
     *
     * @param file the case
     * @return keys and values
     */
    public Map<String, String> metadata(CaseFile file) {
        Map<String, String> metadata = new LinkedHashMap<>();
        for (String key : List.of("format", "kind", "family")) {
            if (file.metadata().containsKey(key)) {
                metadata.put(key, file.metadata(key));
            }
        }
        metadata.put("source", "dropless");
        metadata.put("case", file.path().getFileName().toString());
        metadata.put("computed_in", precision.name().toLowerCase(Locale.ROOT));
        metadata.put("backend", kernels.name());
        metadata.put("path", path.name().toLowerCase(Locale.ROOT));
        return metadata;
    }
}
