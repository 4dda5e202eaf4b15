package uk.ac.manchester.tornado.api;

import java.util.List;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.CyclicBarrier;

/**
 * Stands in for TornadoVM's class of that name where there is no SDK, for one thread of a group: unlike TornadoVM's own,
 * which does nothing outside a device, its barrier waits and its local arrays are shared.
 */
public final class KernelContext {

    public final Integer groupIdx;
    public final Integer groupIdy;
    public final Integer localIdx;
    public final Integer localIdy;

    private final List<float[]> shared;
    private final CyclicBarrier barrier;
    private int allocated;

    public KernelContext(
            int groupIdx, int groupIdy, int localIdx, int localIdy, List<float[]> shared, CyclicBarrier barrier) {
        this.groupIdx = groupIdx;
        this.groupIdy = groupIdy;
        this.localIdx = localIdx;
        this.localIdy = localIdy;
        this.shared = shared;
        this.barrier = barrier;
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

    public void localBarrier() {
        try {
            barrier.await();
        } catch (InterruptedException | BrokenBarrierException e) {
            throw new IllegalStateException(e);
        }
    }
}
