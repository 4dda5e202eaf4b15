package dev.dropless.topology;

/** Argument checks whose messages name argument, expected and found. */
final class Checks {

    private Checks() {}

    static int atLeast(String argument, int value, int least) {
        if (value < least) {
            throw new IllegalArgumentException("%s: expected at least %d, found %d".formatted(argument, least, value));
        }
        return value;
    }

    static IllegalArgumentException mismatch(String argument, Object expected, Object found) {
        return new IllegalArgumentException("%s: expected %s, found %s".formatted(argument, expected, found));
    }
}
