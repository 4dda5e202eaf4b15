package dev.dropless.kernels.cpu;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** The ways to run the inner loops, best first. */
enum CpuTier {
    /** Products in machine code written at run time. */
    EMITTED {
        @Override
        @Nullable
        String disqualifier() {
            return EmittedSupport.disqualifier();
        }

        /** Activations take the Vector API, or are many times slower and say so. */
        @Override
        TileKernels create() {
            String cause = VECTOR.disqualifier();
            if (cause != null) {
                LOGGER.log(System.Logger.Level.WARNING, "activations are computed in plain Java: {0}", cause);
            }
            return new EmittedKernels(EmittedSupport.widest(), cause == null ? VECTOR.create() : SCALAR.create());
        }
    },
    /** Vector API. */
    VECTOR {
        /** The reasons are in the order in which a user would have to remove them. */
        @Override
        @Nullable
        String disqualifier() {
            if (ModuleLayer.boot().findModule(VECTOR_MODULE).isEmpty()) {
                return "the module %s is not resolved; start Java with --add-modules %s"
                        .formatted(VECTOR_MODULE, VECTOR_MODULE);
            }
            Module self = CpuTier.class.getModule();
            if (self.isNamed()
                    && !self.canRead(
                            ModuleLayer.boot().findModule(VECTOR_MODULE).orElseThrow())) {
                return "the module %s does not read %s; load both in the boot layer"
                        .formatted(self.getName(), VECTOR_MODULE);
            }
            String mode = System.getProperty("java.vm.info", "");
            if (mode.contains("interpreted") || mode.contains("emulated-client")) {
                return "the optimising compiler is off (%s), without which vectors are objects; start Java without -Xint and -XX:TieredStopAtLevel"
                        .formatted(mode);
            }
            return null;
        }

        @Override
        TileKernels create() {
            return new VectorKernels();
        }
    },
    /** Plain Java. */
    SCALAR {
        @Override
        @Nullable
        String disqualifier() {
            return null;
        }

        @Override
        TileKernels create() {
            return new ScalarKernels();
        }
    };

    /** System property that forces a tier. */
    static final String PROPERTY = "dropless.cpu.tier";

    private static final String VECTOR_MODULE = "jdk.incubator.vector";
    private static final System.Logger LOGGER = System.getLogger(CpuBackend.class.getName());

    /** Why this tier cannot be used here, or null. */
    abstract @Nullable String disqualifier();

    /** Loads the kernels; only after {@link #disqualifier} found nothing. */
    abstract TileKernels create();

    String word() {
        return name().toLowerCase(Locale.ROOT);
    }

    /**
     * Loads the kernels that the property asks for, else those of the best tier there is. A better tier that cannot be used is named in a warning, with
     * what to do about it.
     *
     * @param forced value of {@value #PROPERTY}, or null
     * @throws IllegalArgumentException if the value names no tier
     * @throws IllegalStateException if the tier it names cannot be used, with the cause
     */
    static TileKernels select(@Nullable String forced) {
        if (forced != null) {
            CpuTier tier = named(forced);
            String cause = tier.disqualifier();
            if (cause != null) {
                throw new IllegalStateException(
                        "%s: tier \"%s\" cannot be used: %s".formatted(PROPERTY, forced, cause));
            }
            return tier.create();
        }
        for (CpuTier tier : values()) {
            String cause = tier.disqualifier();
            if (cause == null) {
                return tier.create();
            }
            LOGGER.log(System.Logger.Level.WARNING, "CPU tier \"{0}\" is not used: {1}", tier.word(), cause);
        }
        throw new IllegalStateException("no CPU tier can be used");
    }

    /** The tier that {@link #select} would take, without loading it. */
    static CpuTier best() {
        return Arrays.stream(values())
                .filter(tier -> tier.disqualifier() == null)
                .findFirst()
                .orElseThrow();
    }

    private static CpuTier named(String word) {
        return Arrays.stream(values())
                .filter(tier -> tier.word().equals(word))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("%s: expected one of %s, found \"%s\""
                        .formatted(
                                PROPERTY,
                                Arrays.stream(values()).map(CpuTier::word).collect(Collectors.joining(", ")),
                                word)));
    }
}
