package dev.dropless.benchmarks.suite;

import dev.dropless.benchmarks.ArmProvider;
import dev.dropless.benchmarks.GemmTask;
import dev.dropless.benchmarks.LayerTask;
import dev.dropless.benchmarks.MoeShape;
import dev.dropless.benchmarks.Operation;
import dev.dropless.benchmarks.OperationTask;
import dev.dropless.benchmarks.OwnArms;
import dev.dropless.benchmarks.ProductTask;
import dev.dropless.benchmarks.RoutingPattern;
import dev.dropless.benchmarks.Task;
import dev.dropless.benchmarks.TopologyTask;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/** The cells of each suite. */
final class Cells {

    /** Arms that take too long, or say little, unless asked for by name. */
    private static final Set<String> ON_REQUEST =
            Set.of("dropless-scalar", "dropless-emitted", "padded-cf2.0", OwnArms.TORNADO);

    /** The block sizes that are measured unless others are asked for. */
    private static final Set<String> BLOCKS = Set.of("blocks-32", "blocks-64", "blocks-128", "blocks-256");

    private static final List<String> LAYER_SHAPES = List.of("olmoe-1b-7b", "qwen3-30b-a3b", "mixtral-8x7b");
    private static final List<String> OLMOE = List.of("olmoe-1b-7b");
    private static final List<String> UNIFORM = List.of("uniform");
    private static final List<String> ROUTINGS = List.of("uniform", "zipf", "one-hot", "holes");
    private static final List<String> PASSES = List.of("forward", "forward+backward");
    private static final List<String> FORWARD = List.of("forward");
    private static final String GEMM = "gemm";
    private static final List<String> GEMMS =
            List.of("gemm-512x512x512", "gemm-1024x1024x1024", "gemm-128x1024x4096", "gemm-64x2048x1024");
    private static final List<String> PRODUCT_SHAPES =
            List.of("olmoe-1b-7b", "megablocks-xs", "megablocks-small", "megablocks-medium");

    private final SuiteOptions options;
    private final List<Task> tasks = new ArrayList<>();

    private Cells(SuiteOptions options) {
        this.options = options;
    }

    /**
     * Lists the cells of a suite.
     *
     * @param options what was asked for
     * @return at least one
     * @throws IllegalArgumentException if a name is unknown, or the suite has no cell of that shape, pass or type
     */
    static List<Cell> of(SuiteOptions options) {
        Cells cells = new Cells(options);
        switch (options.suite()) {
            case "layer" -> cells.layers(LAYER_SHAPES, options.quick() ? List.of(512) : List.of(512, 2048), ROUTINGS);
            case "peers" -> cells.layers(OLMOE, List.of(512, 2048), UNIFORM);
            case "decode" -> cells.layers(LAYER_SHAPES, List.of(1, 8, 16), UNIFORM);
            case "operations" -> cells.operations();
            case "topology" -> cells.topologies();
            default -> cells.kernels();
        }
        return cells.tasks.stream()
                .map(task -> new Cell(options.suite(), task, cells.arms(task)))
                .toList();
    }

    private List<String> shapes(List<String> own) {
        return options.shape() == null ? own : List.of(options.shape());
    }

    private List<Integer> tokens(List<Integer> own) {
        return options.tokens() == null ? own : List.of(options.tokens());
    }

    private List<RoutingPattern> routings(List<String> own) {
        return (options.routings().isEmpty() ? own : options.routings())
                .stream().map(RoutingPattern::of).toList();
    }

    private List<String> passes(List<String> known, List<String> own) {
        for (String pass : options.passes()) {
            if (!known.contains(pass)) {
                throw new IllegalArgumentException("pass: expected one of %s in suite %s, found \"%s\""
                        .formatted(String.join(", ", known), options.suite(), pass));
            }
        }
        return options.passes().isEmpty() ? own : options.passes();
    }

    private void onlyF32() {
        if (!options.dtypes().equals(List.of("f32"))) {
            throw new IllegalArgumentException("dtype: expected f32 in suite %s, found %s"
                    .formatted(options.suite(), String.join(",", options.dtypes())));
        }
    }

    /** Makes a task for each type and number of threads. */
    private interface Maker {
        Task make(String dtype, int threads);
    }

    private void add(String pass, boolean backward, Maker maker) {
        for (String dtype : options.dtypes()) {
            // Asked for by name it is refused, with the cause; among a suite's own passes it is left out.
            if (backward && dtype.equals("int8") && options.passes().isEmpty()) {
                continue;
            }
            for (int threads : options.threads()) {
                tasks.add(maker.make(dtype, threads));
            }
        }
    }

    private void layers(List<String> shapes, List<Integer> tokens, List<String> routings) {
        boolean whole = options.suite().equals("layer");
        List<String> passes = passes(options.suite().equals("decode") ? FORWARD : PASSES, whole ? PASSES : FORWARD);
        for (String shape : shapes(shapes)) {
            MoeShape layer = MoeShape.named(shape);
            for (int t : tokens(tokens)) {
                for (RoutingPattern routing : routings(routings)) {
                    for (String pass : passes) {
                        boolean backward = !pass.equals("forward");
                        add(pass, backward, (dtype, n) -> new LayerTask(layer, t, routing, backward, dtype, n));
                    }
                }
            }
        }
    }

    private void operations() {
        for (String shape : shapes(OLMOE)) {
            MoeShape layer = MoeShape.named(shape);
            for (int t : tokens(List.of(2048))) {
                for (RoutingPattern routing : routings(UNIFORM)) {
                    for (String pass : passes(Operation.words(true), Operation.words(true))) {
                        Operation operation = Operation.of(pass);
                        add(
                                pass,
                                operation.backward(),
                                (dtype, n) -> OperationTask.of(operation, layer, t, routing, dtype, n));
                    }
                }
            }
        }
    }

    private void topologies() {
        onlyF32();
        passes(List.of("build"), List.of());
        MoeShape shape = MoeShape.named(shapes(OLMOE).getFirst());
        for (int t : tokens(List.of(16_384))) {
            for (RoutingPattern routing : routings(ROUTINGS)) {
                add("build", false, (_, n) -> new TopologyTask(t, shape.numExperts(), shape.topK(), routing, n));
            }
        }
    }

    private void kernels() {
        onlyF32();
        List<String> products = ProductTask.Product.words();
        List<String> known = Stream.concat(Stream.of(GEMM), products.stream()).toList();
        List<String> passes = passes(known, known);
        List<String> shapes =
                shapes(Stream.concat(GEMMS.stream(), PRODUCT_SHAPES.stream()).toList());
        for (String shape : shapes) {
            boolean dense = shape.startsWith(GEMM + "-");
            if (dense && passes.contains(GEMM)) {
                add(GEMM, false, (_, n) -> GemmTask.named(shape, n));
            }
            for (String pass : dense ? List.<String>of() : passes) {
                if (!pass.equals(GEMM)) {
                    products(MoeShape.named(shape), ProductTask.Product.of(pass));
                }
            }
        }
        if (tasks.isEmpty()) {
            throw new IllegalArgumentException("pass: expected one of that shape, %s, found %s"
                    .formatted(options.shape(), String.join(",", options.passes())));
        }
    }

    private void products(MoeShape shape, ProductTask.Product product) {
        for (int t : tokens(List.of(2048))) {
            for (RoutingPattern routing : routings(UNIFORM)) {
                add(product.word(), false, (_, n) -> ProductTask.of(product, shape, t, routing, n));
            }
        }
    }

    /** Those asked for, which must exist; else this library's, and those of others in the suites that compare with them. */
    private List<String> arms(Task task) {
        if (!options.arms().isEmpty()) {
            options.arms().forEach(arm -> ArmProvider.of(arm, task));
            return options.arms();
        }
        boolean alone = options.suite().equals("layer");
        return ArmProvider.all().stream()
                .filter(provider -> provider instanceof OwnArms || !alone)
                .flatMap(provider -> provider.arms(task).stream())
                .filter(arm -> !onRequest(arm, task))
                .toList();
    }

    private static boolean onRequest(String arm, Task task) {
        return task instanceof ProductTask
                ? !arm.equals(OwnArms.DROPLESS) && !BLOCKS.contains(arm)
                : ON_REQUEST.contains(arm);
    }
}
