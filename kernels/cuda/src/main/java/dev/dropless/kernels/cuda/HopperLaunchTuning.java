package dev.dropless.kernels.cuda;

import dev.dropless.blocksparse.spi.LaunchTuning;
import dev.dropless.kernels.cuda.HopperTuning.Choice;
import dev.dropless.kernels.cuda.HopperTuning.Operation;
import dev.dropless.kernels.cuda.HopperTuning.Variant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;

/** Launches of the Hopper kernels, to be measured: every variant of an operation, with and without clusters, in groups of several sizes. */
final class HopperLaunchTuning implements LaunchTuning {

    private static final List<Integer> GROUPS = List.of(1, 4, 8, 16);

    private final HopperLaunches launches;

    HopperLaunchTuning(HopperLaunches launches) {
        this.launches = launches;
    }

    @Override
    public List<String> operations() {
        return Arrays.stream(Operation.values()).map(Operation::key).toList();
    }

    @Override
    public List<String> candidates(String operation) {
        return candidatesOf(operation(operation));
    }

    static List<String> candidatesOf(Operation operation) {
        List<String> candidates = new ArrayList<>();
        for (Variant variant : operation.variants()) {
            boolean decodes = variant.decodeTokens() > 0; // neither clusters nor groups
            for (int cluster = 1; cluster <= variant.mostBlocksOfACluster(); cluster++) {
                for (int group : decodes ? GROUPS.subList(0, 1) : GROUPS) {
                    candidates.add(new Choice(variant, cluster, group).line());
                }
            }
        }
        return candidates;
    }

    private static Operation operation(String name) {
        return HopperTuning.named(Operation.values(), name, "an operation");
    }

    @Override
    public void use(String operation, String candidate) {
        SortedMap<Long, String> always = new TreeMap<>(java.util.Map.of(0L, candidate));
        launches.tuning(launches.tuning().with(operation(operation), always, true));
    }

    @Override
    public void reset() {
        launches.tuning(launches.opened());
    }

    @Override
    public String file(SortedMap<String, SortedMap<Long, String>> choices) {
        HopperTuning tuning = launches.opened();
        for (var choice : choices.entrySet()) {
            tuning = tuning.with(operation(choice.getKey()), choice.getValue(), false);
        }
        return tuning.file();
    }
}
