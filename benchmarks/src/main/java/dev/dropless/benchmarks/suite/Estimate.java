package dev.dropless.benchmarks.suite;

import dev.dropless.benchmarks.LayerTask;
import dev.dropless.topology.Topology;

/** How long measuring an arm will take, rather too long than too short: for runs that have a time limit. */
final class Estimate {

    /** Part of the peak that slow libraries reach in dense products of some dozens of rows. */
    private static final double EFFICIENCY = 0.2;

    /** The same of this library's kernels. */
    private static final double OWN_EFFICIENCY = 0.35;

    private static final double SCALAR_EFFICIENCY = 0.02;

    /** Bytes of weights that an arm makes, converts and packs in a second. */
    private static final double LOADED_PER_SECOND = 0.6e9;

    private static final double JVM_SECONDS = 1.5;

    private Estimate() {}

    /** Seconds for an arm of a cell, all JVMs together. */
    static double seconds(Cell cell, String arm, Effort effort, Row.Peak peak) {
        double run = cell.task().usefulFlops() * padding(cell, arm) / (efficiency(arm) * peak.gflops() * 1e9)
                + cell.task().compulsoryBytes() / (peak.readGigabytes() * 1e9);
        double timed = effort.iterations() * Math.max(effort.milliseconds() / 1e3, run);
        double load = JVM_SECONDS + (double) cell.weights() * Float.BYTES / LOADED_PER_SECOND;
        return Math.max(1, effort.forks()) * (load + run + Math.max(effort.warmUpMilliseconds() / 1e3, run) + timed);
    }

    private static double efficiency(String arm) {
        if (arm.endsWith("-scalar")) {
            return SCALAR_EFFICIENCY;
        }
        return arm.startsWith("dropless") || arm.startsWith("blocks") ? OWN_EFFICIENCY : EFFICIENCY;
    }

    /** Rows computed over rows assigned, where every expert gets as many as the busiest one. */
    private static double padding(Cell cell, String arm) {
        boolean padded = arm.endsWith("-padded") || arm.equals("padded-max");
        if (!padded || !(cell.task() instanceof LayerTask layer)) {
            return 1;
        }
        Topology topology = layer.topology();
        return (double) topology.numExperts() * topology.maxTokensPerExpert() / topology.rows();
    }
}
