package dev.dropless.benchmarks.suite;

import dev.dropless.benchmarks.ArmProvider;
import dev.dropless.benchmarks.DecodeBenchmark;
import dev.dropless.benchmarks.GemmBenchmark;
import dev.dropless.benchmarks.GemmTask;
import dev.dropless.benchmarks.LayerBenchmark;
import dev.dropless.benchmarks.LayerTask;
import dev.dropless.benchmarks.MoeShape;
import dev.dropless.benchmarks.OwnArms;
import dev.dropless.benchmarks.ProductBenchmark;
import dev.dropless.benchmarks.ProductTask;
import dev.dropless.benchmarks.RoutingPattern;
import dev.dropless.benchmarks.Task;
import dev.dropless.benchmarks.TopologyBenchmark;
import dev.dropless.benchmarks.TopologyTask;
import java.util.ArrayList;
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

    /** Arms that take too long, or say little, unless asked for by name. */
    private static final List<String> ON_REQUEST = List.of("dropless-scalar", "padded-cf2.0", OwnArms.TORNADO);

    private static final List<String> LAYER_SHAPES = List.of("olmoe-1b-7b", "qwen3-30b-a3b", "mixtral-8x7b");
    private static final List<String> ROUTINGS = List.of("uniform", "zipf", "one-hot", "holes");
    private static final List<String> PASSES = List.of("forward", "forward+backward");
    private static final List<String> GEMMS =
            List.of("gemm-512x512x512", "gemm-1024x1024x1024", "gemm-128x1024x4096", "gemm-64x2048x1024");
    private static final List<String> PRODUCT_SHAPES =
            List.of("megablocks-xs", "megablocks-small", "megablocks-medium", "olmoe-1b-7b");

    /**
     * Lists the cells of a suite.
     *
     * @param options what was asked for
     * @return at least one
     * @throws IllegalArgumentException if a name is unknown, or the suite has no cell of that shape
     */
    public static List<Cell> of(SuiteOptions options) {
        List<Task> tasks = new ArrayList<>();
        switch (options.suite()) {
            case "layer" -> layers(options, LAYER_SHAPES, options.quick() ? List.of(512) : List.of(512, 2048), tasks);
            case "peers" -> layers(options, List.of("olmoe-1b-7b"), List.of(512, 2048), tasks);
            case "decode" -> layers(options, LAYER_SHAPES, List.of(1, 8, 16), tasks);
            case "topology" -> topologies(options, tasks);
            default -> kernels(options, tasks);
        }
        List<Cell> cells = new ArrayList<>();
        for (Task task : tasks) {
            cells.add(new Cell(options.suite(), task, arms(options, task)));
        }
        return List.copyOf(cells);
    }

    private static void layers(SuiteOptions options, List<String> shapes, List<Integer> tokens, List<Task> tasks) {
        boolean whole = options.suite().equals("layer");
        for (String shape : options.shape() == null ? shapes : List.of(options.shape())) {
            MoeShape layer = MoeShape.named(shape);
            for (int t : options.tokens() == null ? tokens : List.of(options.tokens())) {
                for (String pass : options.passes().isEmpty()
                        ? (whole && !options.dtype().equals("int8") ? PASSES : PASSES.subList(0, 1))
                        : options.passes()) {
                    for (String routing : routings(options, whole ? ROUTINGS : List.of("uniform"))) {
                        tasks.add(new LayerTask(
                                layer,
                                t,
                                RoutingPattern.of(routing),
                                pass.equals("forward+backward"),
                                options.dtype(),
                                options.threads()));
                    }
                }
            }
        }
    }

    private static List<String> routings(SuiteOptions options, List<String> own) {
        return options.routings().isEmpty() ? own : options.routings();
    }

    private static void topologies(SuiteOptions options, List<Task> tasks) {
        MoeShape shape = MoeShape.named(options.shape() == null ? "olmoe-1b-7b" : options.shape());
        int tokens = options.tokens() == null ? 16_384 : options.tokens();
        for (String routing : routings(options, ROUTINGS)) {
            tasks.add(new TopologyTask(
                    tokens, shape.numExperts(), shape.topK(), RoutingPattern.of(routing), options.threads()));
        }
    }

    private static void kernels(SuiteOptions options, List<Task> tasks) {
        String only = options.shape();
        for (String name : only == null ? GEMMS : only.startsWith("gemm-") ? List.of(only) : List.<String>of()) {
            tasks.add(GemmTask.named(name, options.threads()));
        }
        List<String> shapes = only == null ? PRODUCT_SHAPES : only.startsWith("gemm-") ? List.of() : List.of(only);
        int tokens = options.tokens() == null ? 2048 : options.tokens();
        for (String shape : shapes) {
            for (String routing : routings(options, List.of("uniform"))) {
                for (ProductTask.Product product : ProductTask.Product.values()) {
                    RoutingPattern pattern = RoutingPattern.of(routing);
                    LayerTask layer =
                            new LayerTask(MoeShape.named(shape), tokens, pattern, false, "f32", options.threads());
                    tasks.add(new ProductTask(product, layer));
                }
            }
        }
    }

    /** Those asked for, which must exist; else this library's, and except in suite layer the peers' that are there. */
    private static List<String> arms(SuiteOptions options, Task task) {
        if (!options.arms().isEmpty()) {
            options.arms().forEach(arm -> ArmProvider.of(arm, task));
            return options.arms();
        }
        return ArmProvider.all().stream()
                .filter(provider ->
                        provider instanceof OwnArms || !options.suite().equals("layer"))
                .flatMap(provider -> provider.arms(task).stream())
                .filter(arm -> !ON_REQUEST.contains(arm))
                .toList();
    }

    /**
     * Returns the JMH benchmark.
     *
     * @return its class
     */
    Class<?> benchmark() {
        return switch (task) {
            case LayerTask _ -> suite.equals("decode") ? DecodeBenchmark.class : LayerBenchmark.class;
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
            case ProductTask product -> {
                describe(product.layer(), all);
                all.put("product", product.pass());
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
     * Returns a heap that holds the weights and their gradients, with room to spare; native memory comes on top.
     *
     * @return megabytes
     */
    int heapMegabytes() {
        long weights = switch (task) {
            case LayerTask layer ->
                layer.layer().weightsPerExpert() * layer.layer().numExperts();
            case ProductTask product ->
                product.layer().layer().weightsPerExpert()
                        * product.layer().layer().numExperts();
            case GemmTask gemm -> (long) gemm.k() * gemm.n();
            case TopologyTask _ -> 0;
        };
        boolean gradients = task instanceof LayerTask layer && layer.backward();
        return (int) (weights * Float.BYTES / (1 << 20) * (gradients ? 5 : 2) / 2) + 1536;
    }

    /**
     * Says what is compared.
     *
     * @return one line
     */
    String title() {
        return "%s, T = %d, %s, %s, %s, %d %s"
                .formatted(
                        task.shape(),
                        task.tokens(),
                        task.routing().equals("none") ? "dense" : task.routing() + " routing",
                        task.pass(),
                        task.dtype(),
                        task.threads(),
                        task.threads() == 1 ? "thread" : "threads");
    }
}
