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

    static void length(String argument, int[] array, String meaning, long expected) {
        if (array.length != expected) {
            throw mismatch(argument + ".length", meaning + " = " + expected, array.length);
        }
    }

    /** Narrows a computed size to int, or says which sizes made it too large. */
    static int fitsInt(String what, long value, String sizes) {
        if (value > Integer.MAX_VALUE) {
            throw mismatch(what, "at most %d (%s)".formatted(Integer.MAX_VALUE, sizes), value);
        }
        return (int) value;
    }

    /** Requires that the number of elements, {@code rows * columns}, is a long. */
    static void fitsLong(String what, long rows, long columns) {
        if (Math.multiplyHigh(rows, columns) != 0 || rows * columns < 0) {
            throw mismatch(what, "at most " + Long.MAX_VALUE, rows + " * " + columns);
        }
    }

    static IllegalArgumentException mismatch(String argument, Object expected, Object found) {
        return new IllegalArgumentException("%s: expected %s, found %s".formatted(argument, expected, found));
    }
}
