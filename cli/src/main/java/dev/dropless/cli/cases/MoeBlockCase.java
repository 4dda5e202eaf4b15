package dev.dropless.cli.cases;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.cli.cases.CaseResults.Role;
import dev.dropless.moe.ForwardOptions;
import dev.dropless.moe.MemoryPolicy;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.MoeGradients;
import dev.dropless.moe.MoeLayer;
import dev.dropless.moe.SavedState;
import dev.dropless.moe.Trainable;
import dev.dropless.moe.family.Families;
import dev.dropless.moe.family.Family;
import dev.dropless.moe.family.LayerCheckpoint;
import dev.dropless.moe.family.Parameter.Group;
import dev.dropless.moe.family.Settings;
import dev.dropless.moe.family.Tables;
import dev.dropless.moe.family.TensorBinding;
import dev.dropless.moe.loss.AuxiliaryLoss;
import dev.dropless.moe.loss.LossValue;
import dev.dropless.moe.router.RouterNoise;
import dev.dropless.moe.router.Routing;
import dev.dropless.moe.sparse.ComposedKernels;
import dev.dropless.safetensors.Json;
import dev.dropless.safetensors.SafetensorsException;
import dev.dropless.topology.MoeBlockPattern;
import dev.dropless.topology.PaddedRows;
import dev.dropless.topology.Topology;
import java.lang.foreign.MemorySegment;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;

/** A case of kind {@code moe_block}: one layer of a model family, forward and backward. */
final class MoeBlockCase implements AutoCloseable {

    /** Block size of the sparse path where the case does not say one. */
    private static final int BLOCK_SIZE = 16;

    private static final Map<String, RouterNoise.Draw> NOISE = Map.of(
            "case.noise.exponential_1", RouterNoise.Draw.FIRST_EXPONENTIAL,
            "case.noise.uniform_1", RouterNoise.Draw.FIRST_UNIFORM,
            "case.noise.exponential_2", RouterNoise.Draw.SECOND_EXPONENTIAL,
            "case.noise.uniform_2", RouterNoise.Draw.SECOND_UNIFORM);

    private final CaseFile file;
    private final CasePrecision precision;
    private final EvalPath path;
    private final Family family;
    private final Settings settings;
    private final MoeConfig config;
    private final Kernels kernels;
    private final KernelMemory.Scope scope;
    private final CheckpointTensors weights;
    private final LayerCheckpoint checkpoint;
    private final int tokens;
    private final CaseResults results = new CaseResults();

    private MoeBlockCase(CaseFile file, CaseEvaluator evaluator) throws SafetensorsException {
        this.file = file;
        this.precision = evaluator.precision();
        this.path = evaluator.path();
        this.family = Families.byName(file.metadata("family"));
        String source = file.path() + ": config";
        this.settings = new Settings(
                source, Json.parseObject(source, file.metadata("config")).values());
        this.weights = new CheckpointTensors(file);
        this.config = family.config(settings, Tables.of(weights, ""));
        boolean padded = settings.has("block_size");
        this.kernels = path == EvalPath.SPARSE
                ? new ComposedKernels(evaluator.kernels(), settings.size("block_size", BLOCK_SIZE), padded)
                : evaluator.kernels();
        int[] shape = file.shape("case.input", 3);
        this.tokens = Math.multiplyExact(shape[0], shape[1]);
        this.checkpoint = new LayerCheckpoint(config, family.layout(settings, config), kernels.memory());
        this.scope = kernels.memory().open();
    }

    static boolean isInput(String name) {
        return !name.startsWith("case.")
                || List.of("case.input", "case.grad_output", "case.input_ids").contains(name)
                || name.startsWith("case.noise.");
    }

    static CaseResults evaluate(CaseFile file, CaseEvaluator evaluator) throws SafetensorsException {
        try (MoeBlockCase block = new MoeBlockCase(file, evaluator)) {
            block.compute();
            return block.results;
        }
    }

    /** What the layer's router decides, without the results of the experts. */
    static Routing route(CaseFile file, CaseEvaluator evaluator) throws SafetensorsException {
        try (MoeBlockCase block = new MoeBlockCase(file, evaluator);
                OpenLayer opened = OpenLayer.open(
                        EvalPath.FUSED,
                        block.kernels,
                        block.config,
                        block.precision.layer(),
                        into -> block.checkpoint.load(block.weights, "", into))) {
            return opened.layer().forward(block.input("case.input"), block.matrix(), block.options());
        }
    }

    private void compute() {
        Matrix x = input("case.input");
        try (OpenLayer opened = OpenLayer.open(
                        path, kernels, config, precision.layer(), into -> checkpoint.load(weights, "", into));
                MoeGradients gradients = opened.layer().newGradients(Trainable.all(), precision.gradients())) {
            MoeLayer layer = opened.layer();
            Matrix y = matrix();
            SavedState saved =
                    layer.forwardTraining(x, y, options(), MemoryPolicy.SAVE_ALL, EnumSet.allOf(Trainable.class));
            put("case.output", y);
            routing(saved.routing());
            topology(saved.topology());
            Matrix dX = matrix();
            layer.backward(saved, input("case.grad_output"), dX, gradients, List.of());
            put("case.grad_input", dX);
            gradients("case.grad.", gradients, false);
            for (Map.Entry<String, AuxiliaryLoss> loss : family.losses(settings).entrySet()) {
                auxiliary(layer, x, loss.getKey(), loss.getValue());
            }
        }
    }

    private ForwardOptions options() {
        boolean training = settings.flag("training", false)
                || Boolean.parseBoolean(file.metadata().get("training"));
        ForwardOptions options = training ? ForwardOptions.training(noise()) : ForwardOptions.evaluation();
        options = options.withBatch(file.shape("case.input", 3)[0]);
        return file.contains("case.input_ids") ? options.withTokenIds(file.ints("case.input_ids")) : options;
    }

    /** The random numbers that the case has recorded; there are no others. */
    private RouterNoise noise() {
        Map<RouterNoise.Draw, double[]> recorded = new EnumMap<>(RouterNoise.Draw.class);
        NOISE.forEach((name, draw) -> {
            if (file.contains(name)) {
                recorded.put(draw, file.doubles(name));
            }
        });
        return RouterNoise.replay(recorded);
    }

    private void routing(Routing routing) {
        int choices = config.routedChoices();
        results.reals("case.router_logits", routing.logits(), tokens, choices);
        results.integers("case.topk_indices", routing.expertIds(), tokens, routing.topK());
        results.reals("case.topk_weights", routing.weights(), tokens, routing.topK());
        results.integers("case.tokens_per_expert", routing.tokensPerExpert());
    }

    private void topology(Topology topology) {
        if (!settings.has("block_size")) {
            return;
        }
        int blockSize = settings.size("block_size");
        TopologyCase.sorting(results, "case.topology.", topology);
        results.integers(
                "case.topology.padded_bins", PaddedRows.of(topology, blockSize).paddedBins());
        TopologyCase.arrays(
                results,
                "case.topology.",
                MoeBlockPattern.padded(topology, blockSize, config.experts().ffnHiddenSize()));
    }

    /** Value and gradients of one loss alone: backward with nothing coming from the output. */
    private void auxiliary(MoeLayer layer, Matrix x, String name, AuxiliaryLoss loss) {
        var trainable = EnumSet.of(Trainable.ROUTER, Trainable.INPUT);
        try (MoeGradients gradients = layer.newGradients(trainable, precision.gradients())) {
            SavedState saved = layer.forwardTraining(x, matrix(), options(), MemoryPolicy.SAVE_ALL, trainable);
            LossValue value = loss.evaluate(saved.routing());
            Matrix zero = Matrix.of(new double[tokens * config.hiddenSize()], tokens, config.hiddenSize());
            Matrix dY = matrix();
            kernels.memory().copy(zero, dY);
            Matrix dX = matrix();
            layer.backward(saved, dY, dX, gradients, List.of(value));
            String prefix = "case.aux." + name;
            results.reals(prefix, new double[] {value.value()});
            results.reals(
                    Role.ROUTER_GRADIENT,
                    prefix + ".grad_router_logits",
                    value.dLogits(),
                    tokens,
                    config.routedChoices());
            put(prefix + ".grad_input", dX);
            gradients(prefix + ".grad.", gradients, true);
        }
    }

    private void gradients(String prefix, MoeGradients gradients, boolean routerOnly) {
        for (TensorBinding binding : checkpoint.bindings()) {
            if (!binding.hasGradient()) {
                continue;
            }
            Group group = binding.pieces().getFirst().parameter().group();
            boolean router = group == Group.ROUTER || group == Group.ROUTER_BIAS;
            if (routerOnly && !router) {
                continue;
            }
            double[] values = new double[Math.toIntExact(binding.elements())];
            checkpoint.store(binding, gradients, ElementType.F64, MemorySegment.ofArray(values));
            Role role = router
                    ? Role.ROUTER_GRADIENT
                    : group == Group.SHARED_GATE ? Role.SHARED_GATE_GRADIENT : Role.EXPERT_GRADIENT;
            long[] shape = binding.shape().stream().mapToLong(Long::longValue).toArray();
            results.reals(role, prefix + binding.name(), values, shape);
        }
    }

    private Matrix matrix() {
        return scope.allocate(precision.input(), tokens, config.hiddenSize());
    }

    private Matrix input(String name) {
        Matrix matrix = matrix();
        kernels.memory().copy(file.matrix(name, tokens, config.hiddenSize()), matrix);
        return matrix;
    }

    private void put(String name, Matrix matrix) {
        double[] values = new double[Math.toIntExact(matrix.rows() * matrix.columns())];
        kernels.memory().copy(matrix, Matrix.of(values, matrix.rows(), matrix.columns()));
        results.reals(name, values, matrix.rows(), matrix.columns());
    }

    @Override
    public void close() {
        scope.close();
    }
}
