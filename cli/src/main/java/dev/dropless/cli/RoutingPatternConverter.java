package dev.dropless.cli;

import dev.dropless.cli.workload.RoutingPattern;
import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads a routing pattern as users write it: {@code one-hot}. */
final class RoutingPatternConverter implements ITypeConverter<RoutingPattern> {

    @Override
    public RoutingPattern convert(String value) {
        return Arrays.stream(RoutingPattern.values())
                .filter(pattern -> name(pattern).equals(value.toLowerCase(Locale.ROOT)))
                .findFirst()
                .orElseThrow(() -> new TypeConversionException("expected one of %s, found \"%s\""
                        .formatted(
                                Arrays.stream(RoutingPattern.values())
                                        .map(RoutingPatternConverter::name)
                                        .collect(Collectors.joining(", ")),
                                value)));
    }

    static String name(RoutingPattern pattern) {
        return pattern.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
