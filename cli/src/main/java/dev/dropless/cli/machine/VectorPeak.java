package dev.dropless.cli.machine;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/** Multiply-adds in registers. Loaded only where the Vector API is there. */
final class VectorPeak {

    private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;

    /** Independent sums: latency 4 times two units, and some to spare. */
    private static final int CHAINS = 12;

    /** Few, so that the loop is compiled by the number of calls: in the interpreter one step takes microseconds. */
    private static final int STEPS = 1_000;

    private static final int WARM_UP_CALLS = 20_000;
    private static final int WINDOWS = 10;
    private static final long WINDOW_NANOS = 30_000_000;

    private VectorPeak() {}

    static int lanes() {
        return SPECIES.length();
    }

    /** The best of several short windows: the others were disturbed. */
    static double flopsPerSecond() {
        float sink = 0;
        for (int call = 0; call < WARM_UP_CALLS; call++) {
            sink += chains(STEPS);
        }
        double best = 0;
        for (int window = 0; window < WINDOWS; window++) {
            long calls = 0;
            long start = System.nanoTime();
            long elapsed;
            do {
                sink += chains(STEPS);
                calls++;
                elapsed = System.nanoTime() - start;
            } while (elapsed < WINDOW_NANOS);
            best = Math.max(best, 2.0 * lanes() * CHAINS * STEPS * calls / (elapsed / 1e9));
        }
        if (Float.isNaN(sink)) {
            throw new IllegalStateException("the measured loop diverged");
        }
        return best;
    }

    private static float chains(int steps) {
        FloatVector factor = FloatVector.broadcast(SPECIES, 0.999f);
        FloatVector addend = FloatVector.broadcast(SPECIES, 0.001f);
        FloatVector a = factor;
        FloatVector b = factor;
        FloatVector c = factor;
        FloatVector d = factor;
        FloatVector e = factor;
        FloatVector f = factor;
        FloatVector g = factor;
        FloatVector h = factor;
        FloatVector i = factor;
        FloatVector j = factor;
        FloatVector k = factor;
        FloatVector l = factor;
        for (int step = 0; step < steps; step++) {
            a = a.fma(factor, addend);
            b = b.fma(factor, addend);
            c = c.fma(factor, addend);
            d = d.fma(factor, addend);
            e = e.fma(factor, addend);
            f = f.fma(factor, addend);
            g = g.fma(factor, addend);
            h = h.fma(factor, addend);
            i = i.fma(factor, addend);
            j = j.fma(factor, addend);
            k = k.fma(factor, addend);
            l = l.fma(factor, addend);
        }
        return a.add(b)
                .add(c)
                .add(d)
                .add(e.add(f).add(g).add(h))
                .add(i.add(j).add(k).add(l))
                .lane(0);
    }
}
