package dev.dropless.cli;

/** Whether this Java runtime can draw. That of a bundle cannot: {@code java.desktop} would be a third of it. */
final class Pictures {

    private static final String MODULE = "java.desktop";

    private Pictures() {}

    /**
     * Asks for what drawing needs, before anything is drawn.
     *
     * @throws BadInput if this runtime lacks it
     */
    static void need() {
        need(ModuleLayer.boot());
    }

    static void need(ModuleLayer layer) {
        if (layer.findModule(MODULE).isEmpty()) {
            throw new BadInput(
                    "pictures: expected a Java runtime with the module %s, found one without: use ./dropless of a checkout"
                            .formatted(MODULE));
        }
    }
}
