package uk.ac.manchester.tornado.api;

import java.util.List;
import java.util.Objects;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.CyclicBarrier;
import org.jspecify.annotations.Nullable;
import uk.ac.manchester.tornado.api.enums.MMAShape;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;

/**
 * Stands in for TornadoVM's class of that name where there is no SDK, for one thread of a group: unlike TornadoVM's own,
 * which does nothing outside a device, its barrier waits, its local arrays are shared and its tensor cores multiply.
 */
public final class KernelContext {

    public final Integer groupIdx;
    public final Integer groupIdy;
    public final Integer localIdx;
    public final Integer localIdy;

    private final List<float[]> shared;
    private final List<int[]> sharedInts;
    private final CyclicBarrier barrier;
    private final @Nullable Warp warp;
    private int allocated;

    public KernelContext(
            int groupIdx, int groupIdy, int localIdx, int localIdy, List<float[]> shared, CyclicBarrier barrier) {
        this.groupIdx = groupIdx;
        this.groupIdy = groupIdy;
        this.localIdx = localIdx;
        this.localIdy = localIdy;
        this.shared = shared;
        this.sharedInts = List.of();
        this.barrier = barrier;
        this.warp = null;
    }

    /** A thread of a warp. */
    public KernelContext(
            int groupIdx, int groupIdy, int localIdx, List<int[]> shared, CyclicBarrier barrier, Warp warp) {
        this.groupIdx = groupIdx;
        this.groupIdy = groupIdy;
        this.localIdx = localIdx;
        this.localIdy = 0;
        this.shared = List.of();
        this.sharedInts = shared;
        this.barrier = barrier;
        this.warp = warp;
    }

    public float[] allocateFloatLocalArray(int size) {
        synchronized (shared) {
            if (allocated == shared.size()) {
                float[] array = new float[size];
                java.util.Arrays.fill(array, Float.NaN);
                shared.add(array);
            }
            return shared.get(allocated++);
        }
    }

    public int[] allocateIntLocalArray(int size) {
        synchronized (sharedInts) {
            if (allocated == sharedInts.size()) {
                int[] array = new int[size];
                java.util.Arrays.fill(array, -1); // NaN
                sharedInts.add(array);
            }
            return sharedInts.get(allocated++);
        }
    }

    private int lane() {
        return localIdx % 32;
    }

    private static HalfFloat half(int[] tile, int element) {
        return new HalfFloat((short) (tile[element / 2] >> 16 * (element % 2)));
    }

    public float[] mmaFragment(float value) {
        return new float[] {value, value, value, value};
    }

    /** Rows of 16 elements. */
    public HalfFloat[] mmaLoadA(int[] tile, int depth, int byteOffset) {
        HalfFloat[] fragment = new HalfFloat[8];
        for (int n = 0; n < 8; n++) {
            int row = lane() / 4 + 8 * (n / 2 % 2);
            int column = 2 * (lane() % 4) + n % 2 + 8 * (n / 4);
            fragment[n] = half(tile, byteOffset / 2 + row * depth + column);
        }
        return fragment;
    }

    /** Rows of 8 elements. */
    public HalfFloat[] mmaLoadB(int[] tile, int depth, int byteOffset) {
        HalfFloat[] fragment = new HalfFloat[4];
        for (int n = 0; n < 4; n++) {
            int row = 2 * (lane() % 4) + n % 2 + 8 * (n / 2);
            fragment[n] = half(tile, byteOffset / 2 + row * 8 + lane() / 4);
        }
        return fragment;
    }

    public float[] mma(HalfFloat[] a, HalfFloat[] b, float[] c, MMAShape shape) {
        return Objects.requireNonNull(warp).multiply(lane(), a, b, c, h -> Float.float16ToFloat(h.bits()));
    }

    public float[] mmaBF16(HalfFloat[] a, HalfFloat[] b, float[] c, MMAShape shape) {
        return Objects.requireNonNull(warp).multiply(lane(), a, b, c, h -> Float.intBitsToFloat(h.bits() << 16));
    }

    public void mmaStore(float[] fragment, FloatArray target, int row, int column, int stride) {
        for (int n = 0; n < 4; n++) {
            int i = row + lane() / 4 + 8 * (n / 2);
            target.set(i * stride + column + 2 * (lane() % 4) + n % 2, fragment[n]);
        }
    }

    public void localBarrier() {
        try {
            barrier.await();
        } catch (InterruptedException | BrokenBarrierException e) {
            throw new IllegalStateException(e);
        }
    }
}
