package dev.dropless.kernels.cpu;

import dev.dropless.kernels.cpu.x86.Assembler.Width;
import dev.dropless.kernels.cpu.x86.CpuFeatures;
import dev.dropless.kernels.cpu.x86.ThroughputLoop;
import dev.dropless.kernels.cpu.x86.VectorOp;
import org.jspecify.annotations.Nullable;

/** Whether emitted code can run here, and which of it is fast. {@link #disqualifier} does not need native access. */
final class EmittedSupport {

    /** What the processor and the system allow: asked once, since the answer takes emitted code itself. */
    private static final class Host {
        static final @Nullable CpuFeatures FEATURES;
        static final @Nullable String REFUSAL;

        static {
            CpuFeatures features = null;
            String refusal = null;
            try {
                features = CpuFeatures.detect();
            } catch (UnsupportedOperationException e) {
                refusal = e.getMessage();
            }
            FEATURES = features;
            REFUSAL = refusal;
        }

        private Host() {}
    }

    /** Whether this processor multiplies pairs of bfloat16 faster than floats: measured once, since among those that have the instruction some do not. */
    private static final class PairRate {
        /** By turns, since the clock of a shared machine may fall for a while. */
        private static final int TURNS = 4;

        static final boolean FASTER = measure();

        private PairRate() {}

        private static boolean measure() {
            if (Host.FEATURES == null || !Host.FEATURES.avx512Bf16()) {
                return false;
            }
            try (ThroughputLoop pairs = new ThroughputLoop(VectorOp.DOT_BF16);
                    ThroughputLoop floats = new ThroughputLoop(VectorOp.FMA)) {
                double fastestPairs = 0;
                double fastestFloats = 0;
                for (int turn = 0; turn < TURNS; turn++) {
                    fastestFloats = Math.max(fastestFloats, floats.flopsPerSecond());
                    fastestPairs = Math.max(fastestPairs, pairs.flopsPerSecond());
                }
                return fastestPairs > fastestFloats;
            }
        }
    }

    private EmittedSupport() {}

    /** Whether the processor multiplies pairs of bfloat16 faster than floats; only after {@link #disqualifier} found nothing. */
    static boolean pairsAreFaster() {
        return PairRate.FASTER;
    }

    /** Whether the processor has dot products of bfloat16 pairs; only after {@link #disqualifier} found nothing. */
    static boolean hasPairs() {
        return Host.FEATURES != null && Host.FEATURES.avx512Bf16();
    }

    /** Why emitted code cannot run here, or null. The reasons are in the order in which a user would have to remove them. */
    static @Nullable String disqualifier() {
        String system = System.getProperty("os.name") + " on " + System.getProperty("os.arch");
        if (!system.equals("Linux on amd64")) {
            return "it needs Linux on amd64, this is " + system;
        }
        Module self = EmittedSupport.class.getModule();
        if (!self.isNativeAccessEnabled()) {
            return "native access is not enabled; start Java with --enable-native-access="
                    + (self.isNamed() ? self.getName() : "ALL-UNNAMED");
        }
        CpuFeatures features = Host.FEATURES;
        if (features == null) {
            return Host.REFUSAL;
        }
        return features.avx2Fma() ? null : "the processor (%s) lacks AVX2, FMA or F16C".formatted(features.brand());
    }

    /** The widest vectors of this processor; only after {@link #disqualifier} found nothing. */
    static Width widest() {
        return Host.FEATURES != null && Host.FEATURES.avx512() ? Width.ZMM : Width.YMM;
    }
}
