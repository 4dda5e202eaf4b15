package dev.dropless.topology;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.dropless.safetensors.SafetensorsException;
import dev.dropless.safetensors.SafetensorsFile;
import dev.dropless.safetensors.TensorType;
import dev.dropless.safetensors.TensorView;
import dev.dropless.testdata.TestData;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Every tensor of the topology cases, which an independent program computed. */
class OracleTopologyTest {

    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfDouble DOUBLE =
            ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    static List<Path> cases() throws IOException {
        try (Stream<Path> files = Files.list(TestData.path("oracle/topology"))) {
            return files.filter(f -> f.toString().endsWith(".safetensors"))
                    .sorted()
                    .toList();
        }
    }

    @Test
    void allCasesAreThere() throws IOException {
        assertEquals(8, cases().size());
    }

    @ParameterizedTest
    @MethodSource("cases")
    void agreesWithEveryTensor(Path file) throws SafetensorsException {
        try (SafetensorsFile open = SafetensorsFile.open(file)) {
            Case input = new Case(open);
            Topology topology = input.topology();
            input.equal("indices", topology.slotOfRow());
            input.equal("bin_ids", topology.binIds());
            input.equal("tokens_per_expert", topology.tokensPerExpert());
            input.equal("bins", topology.bins());
            for (String size : input.list("block_sizes")) {
                int blockSize = Integer.parseInt(size);
                String b = "b" + blockSize + ".";
                PaddedRows padded = PaddedRows.of(topology, blockSize);
                checkIndices(input, b, padded);
                if (input.has(b + "scatter_in")) { // left out of the larger cases
                    checkPermutation(input, b, padded);
                }
            }
            assertEquals(Set.of(), input.unread(), "tensors nobody compared");
        }
    }

    private static void checkIndices(Case input, String b, PaddedRows padded) throws SafetensorsException {
        input.equal(b + "padded_tokens_per_expert", padded.paddedTokensPerExpert());
        input.equal(b + "padded_bins", padded.paddedBins());
        input.equal(b + "padded_row_of_slot", padded.paddedRowOfRow());
        input.equal(b + "slot_source", padded.slotSource());

        MoeBlockPattern pattern =
                MoeBlockPattern.padded(padded.topology(), padded.blockSize(), input.ffnHiddenSize(padded.blockSize()));
        assertTrue(pattern.uniform());
        BcsrArrays arrays = pattern.arrays();
        input.equal(b + "shape", new int[] {(int) pattern.rows(), (int) pattern.columns()});
        input.equal(b + "offsets", arrays.offsets());
        input.equal(b + "column_indices", arrays.columnIndices());
        input.equal(b + "row_indices", arrays.rowIndices());
        input.equal(b + "offsets_t", arrays.offsetsT());
        input.equal(b + "column_indices_t", arrays.columnIndicesT());
        input.equal(b + "row_indices_t", arrays.rowIndicesT());
        input.equal(b + "block_offsets_t", arrays.blockOffsetsT());
    }

    /** Gather, scatter and their gradients, driven by the padded rows alone. */
    private static void checkPermutation(Case input, String b, PaddedRows padded) throws SafetensorsException {
        int topK = padded.topology().topK();
        double[] x = input.doubles("perm.x");
        double[] weights = input.doubles("perm.weights");
        double[] gradOutput = input.doubles("perm.grad_output");
        double[] scatterIn = input.doubles(b + "scatter_in");
        int hidden = input.columns("perm.x");
        double[] gathered = new double[scatterIn.length];
        double[] scattered = new double[x.length];
        double[] gradScatterIn = new double[scatterIn.length];
        double[] gradWeights = new double[weights.length];
        double[] gradX = new double[x.length];
        for (int row = 0; row < padded.rows(); row++) {
            int slot = padded.slotSource(row);
            if (slot == PaddedRows.PADDING) {
                continue;
            }
            for (int h = 0; h < hidden; h++) {
                int at = row * hidden + h;
                int of = slot / topK * hidden + h;
                gathered[at] = x[of];
                gradScatterIn[at] = weights[slot] * gradOutput[of];
                gradWeights[slot] += scatterIn[at] * gradOutput[of];
                gradX[of] += scatterIn[at];
            }
        }
        // Sums over k are taken slot by slot, as a layer does: it tests the inverse permutation.
        for (int slot = 0; slot < weights.length; slot++) {
            int row = padded.paddedRowOfRow(padded.topology().rowOfSlot(slot));
            for (int h = 0; h < hidden; h++) {
                scattered[slot / topK * hidden + h] += weights[slot] * scatterIn[row * hidden + h];
            }
        }
        assertArrayEquals(input.doubles(b + "padded_gather"), gathered, b + "padded_gather");
        assertArrayEquals(input.doubles(b + "grad_scatter_in"), gradScatterIn, b + "grad_scatter_in");
        input.close(b + "padded_scatter", scattered);
        input.close(b + "grad_weights", gradWeights);
        input.close(b + "grad_gather_x", gradX);
    }

    /** An open case file that remembers which tensors were read. */
    private static final class Case {

        private final SafetensorsFile file;
        private final Set<String> read = new HashSet<>();

        Case(SafetensorsFile file) {
            this.file = file;
        }

        Topology topology() throws SafetensorsException {
            return Topology.of(ints("topk_indices"), columns("topk_indices"), Integer.parseInt(text("num_experts")));
        }

        String text(String key) {
            String value = file.metadata().get(key);
            assertTrue(value != null, key);
            return value;
        }

        /** The parts of {@code [1, 8]} or of {@code {"1": 16, "8": 32}}. */
        List<String> list(String key) {
            return Arrays.asList(text(key).replaceAll("[\\[\\]{}\" ]", "").split(","));
        }

        int ffnHiddenSize(int blockSize) {
            String prefix = blockSize + ":";
            return list("ffn_hidden_size").stream()
                    .filter(entry -> entry.startsWith(prefix))
                    .mapToInt(entry -> Integer.parseInt(entry.substring(prefix.length())))
                    .findFirst()
                    .orElseThrow();
        }

        boolean has(String name) {
            return file.contains(name);
        }

        private TensorView tensor(String name, TensorType type) throws SafetensorsException {
            TensorView tensor = file.tensor(name);
            assertEquals(type, tensor.type(), name);
            read.add(name);
            return tensor;
        }

        int columns(String name) throws SafetensorsException {
            return (int) file.tensor(name).shape()[1];
        }

        int[] ints(String name) throws SafetensorsException {
            return tensor(name, TensorType.I32).data().toArray(INT);
        }

        double[] doubles(String name) throws SafetensorsException {
            return tensor(name, TensorType.F64).data().toArray(DOUBLE);
        }

        void equal(String name, int[] found) throws SafetensorsException {
            assertArrayEquals(ints(name), found, name);
        }

        /** Sums of at most three products of size 1, perhaps in another order: a few units in the last place. */
        void close(String name, double[] found) throws SafetensorsException {
            assertArrayEquals(doubles(name), found, 1e-14, name);
        }

        Set<String> unread() {
            Set<String> names = new TreeSet<>(file.names());
            names.removeAll(read);
            return names;
        }
    }
}
