package dev.dropless.kernels.cpu;

/** Keeps the exported package from being empty; deleted by the change that adds its first type. */
public final class Placeholder {

    private Placeholder() {}
}
