package dev.dropless.cli.gpu;

import dev.dropless.cli.BadInput;
import java.util.Locale;

/**
 * What a device reaches at its best, as measured in the same call.
 *
 * @param burst TFLOP/s of a large dense product in bfloat16, in samples of 20 ms after a pause; 0 if unknown
 * @param sustained the same over seconds; 0 if unknown
 * @param copy bytes read and written per second by a large copy on the device, / 10^9; 0 if unknown
 */
public record Ceilings(double burst, double sustained, double copy) {

    /** Nothing was measured. */
    public static final Ceilings UNKNOWN = new Ceilings(0, 0, 0);

    /**
     * Reads what {@link #toString} wrote.
     *
     * @param text three numbers
     * @return the ceilings
     * @throws BadInput if it is something else
     */
    public static Ceilings parse(String text) {
        String[] numbers = text.split(",", -1);
        try {
            if (numbers.length == 3) {
                return new Ceilings(
                        Double.parseDouble(numbers[0]), Double.parseDouble(numbers[1]), Double.parseDouble(numbers[2]));
            }
        } catch (NumberFormatException e) {
            throw bad(text);
        }
        throw bad(text);
    }

    private static BadInput bad(String text) {
        return new BadInput(
                "--ceilings: expected TFLOP/s in bursts, TFLOP/s sustained and GB/s of copies, found " + text);
    }

    @Override
    public String toString() {
        return String.format(Locale.ROOT, "%.3f,%.3f,%.3f", burst, sustained, copy);
    }
}
