package uk.ac.manchester.tornado.api;

import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.CyclicBarrier;
import java.util.function.ToDoubleFunction;
import uk.ac.manchester.tornado.api.types.HalfFloat;

/**
 * What the 32 threads of a warp hold for one m16n8k16 instruction, in the layout of PTX ISA 9.7.14.5.8: with q = lane / 4
 * and p = 2 (lane % 4), a lane has of A rows q and q + 8 at columns p, p + 1, p + 8, p + 9; of B column q at rows p, p + 1,
 * p + 8, p + 9; of C rows q and q + 8 at columns p and p + 1.
 */
public final class Warp {

    private static final int LANES = 32;

    private final CyclicBarrier barrier = new CyclicBarrier(LANES);
    private final HalfFloat[][] a = new HalfFloat[16][16];
    private final HalfFloat[][] b = new HalfFloat[16][8];

    void await() {
        try {
            barrier.await();
        } catch (InterruptedException | BrokenBarrierException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Puts a lane's numbers where they belong, waits for the others', and sums its four elements in order. */
    float[] multiply(int lane, HalfFloat[] ownA, HalfFloat[] ownB, float[] c, ToDoubleFunction<HalfFloat> value) {
        int q = lane / 4;
        int p = 2 * (lane % 4);
        for (int n = 0; n < 8; n++) {
            a[q + 8 * (n / 2 % 2)][p + n % 2 + 8 * (n / 4)] = ownA[n];
        }
        for (int n = 0; n < 4; n++) {
            b[p + n % 2 + 8 * (n / 2)][q] = ownB[n];
        }
        await();
        float[] sums = c.clone();
        for (int n = 0; n < 4; n++) {
            for (int l = 0; l < 16; l++) {
                double left = value.applyAsDouble(a[q + 8 * (n / 2)][l]);
                sums[n] += (float) (left * value.applyAsDouble(b[l][p + n % 2]));
            }
        }
        await();
        return sums;
    }
}
