package dev.dropless.moe.router;

/** Argument checks whose messages name argument, expected and found. */
final class Arguments {

    private Arguments() {}

    static int atLeast(String argument, int value, int least) {
        if (value < least) {
            throw mismatch(argument, "at least " + least, value);
        }
        return value;
    }

    static void length(String argument, int found, long expected, String shape) {
        if (found != expected) {
            throw mismatch(argument, expected + " values (" + shape + ")", found);
        }
    }

    static double positive(String argument, double value) {
        if (!(value > 0) || Double.isInfinite(value)) {
            throw mismatch(argument, "a finite number above 0", value);
        }
        return value;
    }

    static double notNegative(String argument, double value) {
        if (!(value >= 0) || Double.isInfinite(value)) {
            throw mismatch(argument, "a finite number of at least 0", value);
        }
        return value;
    }

    static IllegalArgumentException mismatch(String argument, Object expected, Object found) {
        return new IllegalArgumentException("%s: expected %s, found %s".formatted(argument, expected, found));
    }
}
