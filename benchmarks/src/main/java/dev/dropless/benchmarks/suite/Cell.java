package dev.dropless.benchmarks.suite;

import dev.dropless.benchmarks.DecodeBenchmark;
import dev.dropless.benchmarks.GemmBenchmark;
import dev.dropless.benchmarks.GemmTask;
import dev.dropless.benchmarks.LayerBenchmark;
import dev.dropless.benchmarks.LayerTask;
import dev.dropless.benchmarks.OperationBenchmark;
import dev.dropless.benchmarks.OperationTask;
import dev.dropless.benchmarks.ProductBenchmark;
import dev.dropless.benchmarks.ProductTask;
import dev.dropless.benchmarks.Task;
import dev.dropless.benchmarks.TopologyBenchmark;
import dev.dropless.benchmarks.TopologyTask;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * One task and the arms that are compared on it.
 *
 * @param suite which suite it belongs to
 * @param task what is computed
 * @param arms names
 */
public record Cell(String suite, Task task, List<String> arms) {

    /**
     * Returns the JMH benchmark.
     *
     * @return its class
     */
    Class<?> benchmark() {
        return switch (task) {
            case LayerTask _ -> suite.equals("decode") ? DecodeBenchmark.class : LayerBenchmark.class;
            case OperationTask _ -> OperationBenchmark.class;
            case GemmTask _ -> GemmBenchmark.class;
            case ProductTask _ -> ProductBenchmark.class;
            case TopologyTask _ -> TopologyBenchmark.class;
        };
    }

    /**
     * Returns the JMH parameters, all but the arm.
     *
     * @return names and values
     */
    Map<String, String> parameters() {
        Map<String, String> all = new LinkedHashMap<>();
        all.put("threads", Integer.toString(task.threads()));
        switch (task) {
            case LayerTask layer -> {
                describe(layer, all);
                all.put("dtype", layer.dtype());
                if (!suite.equals("decode")) {
                    all.put("pass", layer.pass());
                }
            }
            case OperationTask operation -> {
                describe(operation.layer(), all);
                all.put("dtype", operation.dtype());
                all.put("pass", operation.pass());
            }
            case ProductTask product -> {
                describe(product.layer(), all);
                all.put("pass", product.pass());
            }
            case GemmTask gemm -> all.put("shape", gemm.shape());
            case TopologyTask topology -> {
                all.put("tokens", Integer.toString(topology.tokens()));
                all.put("numExperts", Integer.toString(topology.numExperts()));
                all.put("topK", Integer.toString(topology.topK()));
                all.put("routing", topology.routing());
            }
        }
        return all;
    }

    private static void describe(LayerTask layer, Map<String, String> all) {
        all.put("shape", layer.shape());
        all.put("tokens", Integer.toString(layer.tokens()));
        all.put("routing", layer.routing());
    }

    /**
     * Counts the weights.
     *
     * @return elements of all experts together
     */
    long weights() {
        return switch (task) {
            case LayerTask layer -> weights(layer);
            case OperationTask operation -> weights(operation.layer());
            case ProductTask product -> weights(product.layer());
            case GemmTask gemm -> (long) gemm.k() * gemm.n();
            case TopologyTask _ -> 0;
        };
    }

    private static long weights(LayerTask layer) {
        return layer.layer().weightsPerExpert() * layer.layer().numExperts();
    }

    /**
     * Returns a heap that holds the weights and their gradients, with room to spare; native memory comes on top.
     *
     * @return megabytes
     */
    int heapMegabytes() {
        boolean gradients = switch (task) {
            case LayerTask layer -> layer.backward();
            case OperationTask operation -> operation.layer().backward();
            default -> false;
        };
        return (int) (weights() * Float.BYTES / (1 << 20) * (gradients ? 5 : 2) / 2) + 1536;
    }

    /**
     * Says what is compared.
     *
     * @return one line
     */
    String title() {
        return "%s, %s, %s, %s".formatted(common(), task.pass(), task.dtype(), threads());
    }

    /**
     * Says how many threads compute.
     *
     * @return with the word in singular or plural
     */
    String threads() {
        return task.threads() == 1 ? "1 thread" : task.threads() + " threads";
    }

    /**
     * Says what tasks of one table have in common.
     *
     * @return shape, tokens and routing
     */
    String common() {
        return "%s, T = %d, %s"
                .formatted(
                        task.shape(),
                        task.tokens(),
                        task.routing().equals("none") ? "dense" : task.routing() + " routing");
    }
}
