package dev.dropless.benchmarks;

import java.util.List;

/** A source of one arm that computes something else, and of one that cannot be had; both only on request. */
public final class BrokenArms implements ArmProvider {

    public static final String WRONG = "wrong";
    public static final String ABSENT = "absent";

    @Override
    public List<String> arms(Task task) {
        return List.of(WRONG, ABSENT);
    }

    @Override
    public String unavailable(String arm, Task task) {
        return arm.equals(ABSENT) ? "it was never there" : null;
    }

    @Override
    public Arm open(String arm, Task task) {
        return new Arm() {
            @Override
            public Object run() {
                return this;
            }

            @Override
            public double check() {
                throw new CheckFailed("y[0]: expected 1, found 2");
            }

            @Override
            public String description() {
                return "wrong";
            }

            @Override
            public double computedFlops() {
                return 1;
            }

            @Override
            public void close() {}
        };
    }
}
