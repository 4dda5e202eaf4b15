package dev.dropless.cli.cases;

/** How the experts are computed. */
public enum EvalPath {
    /** Block-sparse products one by one: SDD, activation, DSD. */
    SPARSE,
    /** The back end's fused expert path. */
    FUSED,
    /** Padded batched matmul with a capacity that drops nothing. */
    PADDED
}
