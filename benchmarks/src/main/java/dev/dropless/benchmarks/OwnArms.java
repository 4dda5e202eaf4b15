package dev.dropless.benchmarks;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Backends;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.padded.CapacityPolicy;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The arms of this library: the CPU back end in the tier it chooses and in each tier by name, on the chosen tier what
 * people do without dropless kernels: padding to the busiest expert or to a capacity, and a loop over the experts; its
 * block-sparse level in several block sizes; and the TornadoVM back end.
 */
public final class OwnArms implements ArmProvider {

    /** Name of the arm that others are compared with: the tier that users get. */
    public static final String DROPLESS = "dropless";

    /** Name of the arm that computes with TornadoVM; measured only when asked for. */
    public static final String TORNADO = "tornado";

    /** System property: where the TornadoVM SDK is whose options JVMs of arm {@link #TORNADO} are started with. */
    public static final String TORNADO_HOME = "dropless.bench.tornado";

    private static final String TIER = "dropless-";
    private static final String VECTOR = "-vector";
    private static final String FACTOR = "padded-cf";
    private static final String TIER_PROPERTY = "dropless.cpu.tier";
    private static final List<String> TIERS =
            List.of(DROPLESS, "dropless-emitted", "dropless-vector", "dropless-scalar");
    private static final List<String> OTHERS =
            List.of("padded-max", "padded-cf1.0", "padded-cf1.25", "padded-cf2.0", "loop", TORNADO);

    /** Arms of the block-sparse level, with their block sizes. */
    private static final Map<String, Integer> BLOCKS = blocks();

    private static Map<String, Integer> blocks() {
        Map<String, Integer> blocks = new LinkedHashMap<>();
        for (int size : new int[] {8, 16, 32, 64, 128, 256}) {
            blocks.put("blocks-" + size, size);
            blocks.put("blocks-" + size + VECTOR, size);
        }
        return blocks;
    }

    @Override
    public List<String> arms(Task task) {
        return switch (task) {
            case TopologyTask _ -> List.of(DROPLESS, TopologyArm.SORT);
            case GemmTask _, OperationTask _ -> TIERS;
            case ProductTask _ ->
                Stream.concat(TIERS.stream(), BLOCKS.keySet().stream()).toList();
            case LayerTask _ -> Stream.concat(TIERS.stream(), OTHERS.stream()).toList();
        };
    }

    /** Opens the kernels for a moment: a tier that is not there, or whose name is unknown to this version, says so. */
    @Override
    public @Nullable String unavailable(String arm, Task task) {
        if (task instanceof LayerTask layer && layer.int8() && OTHERS.contains(arm)) {
            return "it has no int8 weights";
        }
        if (arm.equals("loop") && task instanceof LayerTask layer && layer.backward()) {
            return "the loop over experts is forward only";
        }
        if (arm.equals(TORNADO)) {
            return task.dtype().equals("f32")
                    ? Backends.byName(TORNADO).availability().cause()
                    : "the TornadoVM kernels compute in F32";
        }
        try (Kernels kernels = kernels(arm, 1)) {
            return kernels.name().equals("cpu") ? null : "expected back end cpu, found " + kernels.name();
        } catch (IllegalArgumentException | IllegalStateException e) {
            return e.getMessage();
        }
    }

    @Override
    public Arm open(String arm, Task task) {
        Kernels kernels = kernels(arm, task.threads());
        return switch (task) {
            case LayerTask layer
            when arm.equals("loop") -> new ExpertLoop(layer, new GemmProducts(kernels, layer), false);
            case LayerTask layer -> new MoeLayerArm(kernels, layer, capacity(arm));
            case GemmTask gemm -> new GemmArm(gemm, new OwnGemm(kernels));
            case OperationTask operation -> new OperationArm(operation, kernels);
            case ProductTask product when BLOCKS.containsKey(arm) -> new BlockArm(product, kernels, BLOCKS.get(arm));
            case ProductTask product -> new FusedArm(product, kernels);
            case TopologyTask topology -> new TopologyArm(topology, arm, kernels);
        };
    }

    private static @Nullable CapacityPolicy capacity(String arm) {
        if (arm.startsWith(FACTOR)) {
            return CapacityPolicy.factor(Double.parseDouble(arm.substring(FACTOR.length())));
        }
        return arm.equals("padded-max") ? CapacityPolicy.maximumLoad() : null;
    }

    /** The tier is a property of the process that is read when kernels are opened. */
    private static Kernels kernels(String arm, int threads) {
        if (arm.equals(TORNADO)) {
            return Backends.byName(TORNADO).open(BackendOptions.threads(threads));
        }
        String before = System.getProperty(TIER_PROPERTY);
        if (arm.startsWith(TIER) || arm.endsWith(VECTOR)) {
            System.setProperty(TIER_PROPERTY, arm.substring(arm.lastIndexOf('-') + 1));
        }
        try {
            return Backends.byName("cpu").open(BackendOptions.threads(threads));
        } finally {
            if (before == null) {
                System.clearProperty(TIER_PROPERTY);
            } else {
                System.setProperty(TIER_PROPERTY, before);
            }
        }
    }

    /**
     * What a JVM needs that measures an arm.
     *
     * @param arm a name
     * @return options of the JVM; empty for most arms
     */
    public static List<String> jvmOptions(String arm) {
        String home = System.getProperty(TORNADO_HOME);
        return arm.equals(TORNADO) && home != null
                ? List.of("@" + home + "/tornado-argfile", "-Dtornado.recover.bailout=False")
                : List.of();
    }

    private record OwnGemm(Kernels kernels) implements GemmArm.Gemm {
        @Override
        public void multiply(Matrix a, Matrix b, Matrix c) {
            kernels.blockSparse().gemm(a, Transpose.N, b, Transpose.N, c, false);
        }

        @Override
        public String description() {
            return "dropless gemm, packs at every call, " + kernels.description();
        }

        @Override
        public void close() {
            kernels.close();
        }
    }
}
