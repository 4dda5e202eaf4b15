package dev.dropless.moe.family;

import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** The families there are. */
public final class Families {

    private static final List<Family> ALL = Stream.of(
                    SoftmaxFamilies.all(),
                    DeepSeekFamilies.all(),
                    SigmoidFamilies.all(),
                    LogitFamilies.all(),
                    CapacityFamilies.all(),
                    MegaBlocksFamilies.all())
            .flatMap(List::stream)
            .toList();

    private Families() {}

    /**
     * Lists the families.
     *
     * @return all of them
     */
    public static List<Family> all() {
        return ALL;
    }

    /**
     * Finds a family.
     *
     * @param name its name
     * @return the family
     * @throws IllegalArgumentException if there is none of that name; the message lists those there are
     */
    public static Family byName(String name) {
        return ALL.stream()
                .filter(family -> family.name().equals(name))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("family: expected one of %s, found \"%s\""
                        .formatted(ALL.stream().map(Family::name).collect(Collectors.joining(", ")), name)));
    }
}
