package dev.dropless.cli.gpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Floors, against sums that were made by hand for a device of 790 TFLOP/s and 4.3 TB/s. */
class FloorTest {

    private static final Ceilings DEVICE = new Ceilings(790, 0, 4300);

    /** Useful TFLOP and milliseconds forward, gigabytes forward, milliseconds and gigabytes backward. */
    @ParameterizedTest
    @CsvSource({
        "mixtral-8x7b,      5.773,  7.354,  5.10, 14.661, 10.87",
        "olmoe-1b-7b,       1.650,  2.228,  3.09,  4.316,  5.64",
        "qwen3-30b-a3b,     2.474,  3.412,  5.23,  6.544,  9.13",
        "dsv3-full,         5.773,  7.553, 25.74, 14.860, 50.13",
        "dsv3-ep8,          2.887,  3.872,  5.23,  7.525,  9.80",
        "megablocks-medium, 0.137,  0.312,  1.34,  0.616,  2.65",
        "megablocks-xs,     0.275,  0.379,  1.34,  0.787,  2.55",
    })
    void sumsOfKernels(String name, double work, double forward, double read, double backward, double readBackward) {
        BenchmarkShape shape = BenchmarkShape.named(name, false);
        Floor first = Floor.forward(shape, shape.numExperts());
        Floor second = Floor.backward(shape, shape.numExperts());
        assertThat(first.flops() / 1e12).isCloseTo(work, within(1e-3));
        assertThat(second.flops()).isEqualTo(2 * first.flops());
        assertThat(first.milliseconds(DEVICE)).isCloseTo(forward, within(2e-3));
        assertThat(first.bytes() / 1e9).isCloseTo(read, within(1e-2));
        assertThat(second.milliseconds(DEVICE)).isCloseTo(backward, within(2e-3));
        assertThat(second.bytes() / 1e9).isCloseTo(readBackward, within(1e-2));
        assertThat(first.and(second).milliseconds(DEVICE)).isCloseTo(forward + backward, within(4e-3));
    }

    /** 16 tokens with 8 of 128 experts each reach 82.4 of them on the average. */
    @Test
    void fewTokensReadTheWeightsOfSomeExperts() {
        BenchmarkShape shape = BenchmarkShape.named("decode-qwen3-t16", false);
        assertThat(Floor.forward(shape, 82.4).milliseconds(DEVICE)).isCloseTo(0.181, within(2e-3));
    }

    @Test
    void withoutCeilingsThereIsNoFloor() {
        BenchmarkShape shape = BenchmarkShape.named("olmoe-1b-7b", false);
        assertThat(Floor.forward(shape, 64).milliseconds(Ceilings.UNKNOWN)).isZero();
    }

    @Test
    void aRowSaysWhatShareItReaches() {
        Measured row = Measured.of("x", 10)
                .flops(4e12, new Ceilings(800, 500, 4000))
                .floor(8)
                .anchor(Anchor.teraflops(320, "somebody"));
        assertThat(row.values())
                .containsEntry("tflops", 400.0)
                .containsEntry("of_burst", 0.5)
                .containsEntry("of_sustained", 0.8)
                .containsEntry("of_floor", 0.8)
                .containsEntry("of_anchor", 1.25);
        assertThat(Measured.line(row.values())).contains("10.000 ms", "400 TFLOP/s", "floor 0.800", "anchor 1.250");
        assertThat(Measured.of("y", 2)
                        .cublas(1.9)
                        .anchor(new Anchor(0.95, true, "somebody"))
                        .values())
                .containsEntry("of_cublas", 0.95)
                .containsEntry("of_anchor", 1.0);
        assertThat(Measured.line(Measured.skipped("z", "no memory").values())).endsWith(" skipped: no memory");
    }

    @Test
    void ceilingsAreReadAsTheyAreWritten() {
        Ceilings ceilings = new Ceilings(790.125, 640.5, 4300);
        assertThat(Ceilings.parse(ceilings.toString())).isEqualTo(ceilings);
    }
}
