package dev.dropless.kernels.cuda;

import static dev.dropless.kernels.cuda.CudaResults.check;

import jcuda.driver.CUevent;
import jcuda.driver.CUevent_flags;
import jcuda.driver.JCudaDriver;

/** A mark in a stream that knows when it was passed. */
final class DeviceEvent implements Handles.Handle {

    private final DeviceContext context;
    private final CUevent event = new CUevent();

    DeviceEvent(DeviceContext context) {
        this.context = context;
        context.enter();
        check(JCudaDriver.cuEventCreate(event, CUevent_flags.CU_EVENT_DEFAULT), "making an event");
        context.handles().opened(this);
    }

    /** Puts the mark behind all work of a stream. */
    void record(DeviceStream stream) {
        context.enter();
        check(JCudaDriver.cuEventRecord(event, stream.handle()), "recording an event");
    }

    /** Lets later work of a stream wait for the mark. */
    void holdBack(DeviceStream stream) {
        context.enter();
        check(JCudaDriver.cuStreamWaitEvent(stream.handle(), event, 0), "waiting for an event in a stream");
    }

    /** Waits for the mark. */
    void synchronize() {
        context.enter();
        check(JCudaDriver.cuEventSynchronize(event), "waiting for an event");
    }

    /** Milliseconds from another mark to this one, both passed. */
    float millisecondsSince(DeviceEvent start) {
        float[] milliseconds = new float[1];
        context.enter();
        check(JCudaDriver.cuEventElapsedTime(milliseconds, start.event, event), "reading the time between events");
        return milliseconds[0];
    }

    @Override
    public String kind() {
        return "event";
    }

    @Override
    public void close() {
        if (context.handles().closed(this)) {
            context.enter();
            check(JCudaDriver.cuEventDestroy(event), "closing an event");
        }
    }
}
