package dev.dropless.cli.cases;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.moe.sparse.RowPermutation;
import dev.dropless.safetensors.Json;
import dev.dropless.safetensors.SafetensorsException;
import dev.dropless.topology.BcsrArrays;
import dev.dropless.topology.MoeBlockPattern;
import dev.dropless.topology.PaddedRows;
import dev.dropless.topology.Topology;
import dev.dropless.topology.TopologyBuilder;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;

/** Cases of kind {@code topology}: integers, and the padded permutation applied to data. */
final class TopologyCase {

    private TopologyCase() {}

    static CaseResults evaluate(CaseFile file) throws SafetensorsException {
        int topK = file.number("top_k");
        Topology topology = new TopologyBuilder(file.number("num_experts"), topK).build(file.ints("topk_indices"));
        CaseResults results = new CaseResults();
        sorting(results, "", topology);
        var widths = Json.parseObject(file.path() + ": ffn_hidden_size", file.metadata("ffn_hidden_size"));
        for (int blockSize : blockSizes(file)) {
            String prefix = "b" + blockSize + ".";
            int ffnHiddenSize = Math.toIntExact(widths.integer(Integer.toString(blockSize)));
            padded(results, prefix, PaddedRows.of(topology, blockSize));
            arrays(results, prefix, MoeBlockPattern.padded(topology, blockSize, ffnHiddenSize));
            if (file.contains(prefix + "scatter_in")) {
                permuted(results, prefix, file, topology, blockSize);
            }
        }
        return results;
    }

    static boolean isInput(String name) {
        return name.equals("topk_indices") || name.startsWith("perm.") || name.endsWith(".scatter_in");
    }

    private static List<Integer> blockSizes(CaseFile file) throws SafetensorsException {
        Object parsed = Json.parse(file.path() + ": block_sizes", file.metadata("block_sizes"));
        if (!(parsed instanceof List<?> list)) {
            throw new SafetensorsException(file.path().toString(), "block_sizes: expected a list, found " + parsed);
        }
        return list.stream().map(value -> ((Number) value).intValue()).toList();
    }

    /** The sort by expert: MegaBlocks' indices, bin ids, counts and bins. */
    static void sorting(CaseResults results, String prefix, Topology topology) {
        int[] binIds = new int[topology.rows()];
        Arrays.setAll(binIds, topology::expertOfRow);
        results.integers(prefix + "indices", topology.slotOfRow());
        results.integers(prefix + "bin_ids", binIds);
        results.integers(prefix + "tokens_per_expert", topology.tokensPerExpert());
        int[] bins = new int[topology.numExperts()];
        Arrays.setAll(bins, e -> topology.offset(e + 1));
        results.integers(prefix + "bins", bins);
    }

    private static void padded(CaseResults results, String prefix, PaddedRows rows) {
        results.integers(prefix + "padded_tokens_per_expert", rows.paddedTokensPerExpert());
        results.integers(prefix + "padded_bins", rows.paddedBins());
        results.integers(prefix + "padded_row_of_slot", rows.paddedRowOfRow());
        results.integers(prefix + "slot_source", rows.slotSource());
    }

    /** Shape and index arrays of the block-diagonal matrix. */
    static void arrays(CaseResults results, String prefix, MoeBlockPattern pattern) {
        BcsrArrays arrays = pattern.arrays();
        results.integers(
                prefix + "shape", new int[] {Math.toIntExact(pattern.rows()), Math.toIntExact(pattern.columns())});
        results.integers(prefix + "offsets", arrays.offsets());
        results.integers(prefix + "column_indices", arrays.columnIndices());
        results.integers(prefix + "row_indices", arrays.rowIndices());
        results.integers(prefix + "offsets_t", arrays.offsetsT());
        results.integers(prefix + "column_indices_t", arrays.columnIndicesT());
        results.integers(prefix + "row_indices_t", arrays.rowIndicesT());
        results.integers(prefix + "block_offsets_t", arrays.blockOffsetsT());
    }

    /** Gather and weighted scatter over padded rows, and their gradients. */
    private static void permuted(CaseResults results, String prefix, CaseFile file, Topology topology, int blockSize) {
        RowPermutation permutation = RowPermutation.padded(topology, blockSize);
        Matrix x = file.matrix("perm.x");
        Matrix weights = file.matrix("perm.weights", topology.tokens(), topology.topK());
        Matrix scatterIn = file.matrix(prefix + "scatter_in");
        Matrix gradOutput = file.matrix("perm.grad_output");
        try (Arena arena = Arena.ofConfined()) {
            long tokens = topology.tokens();
            Matrix rows = Matrix.allocate(arena, ElementType.F64, permutation.rows(), x.columns());
            permutation.gather(x, null, rows);
            results.reals(prefix + "padded_gather", rows);
            Matrix sums = Matrix.allocate(arena, ElementType.F64, tokens, x.columns());
            permutation.scatter(scatterIn, weights, sums, false);
            results.reals(prefix + "padded_scatter", sums);
            permutation.gather(gradOutput, weights, rows);
            results.reals(prefix + "grad_scatter_in", rows);
            Matrix gradWeights = Matrix.allocate(arena, ElementType.F64, tokens, topology.topK());
            permutation.dWeights(scatterIn, gradOutput, gradWeights, false);
            results.reals(prefix + "grad_weights", gradWeights.toDoubles(), topology.slots());
            permutation.scatter(scatterIn, null, sums, false);
            results.reals(prefix + "grad_gather_x", sums);
        }
    }
}
