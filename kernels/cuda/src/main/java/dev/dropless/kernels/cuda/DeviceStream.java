package dev.dropless.kernels.cuda;

import static dev.dropless.kernels.cuda.CudaResults.check;

import jcuda.driver.CUgraph;
import jcuda.driver.CUstream;
import jcuda.driver.CUstreamCaptureMode;
import jcuda.driver.CUstreamCaptureStatus;
import jcuda.driver.CUstream_flags;
import jcuda.driver.JCudaDriver;

/** A queue of work on a device: what is put into it runs in that order. */
final class DeviceStream implements Handles.Handle {

    private final DeviceContext context;
    private final Raw stream = new Raw();
    private volatile boolean capturing;
    private volatile boolean afterKernel;

    /** Makes the address readable, which foreign calls need. */
    private static final class Raw extends CUstream {
        long address() {
            return getNativePointer();
        }
    }

    DeviceStream(DeviceContext context) {
        this.context = context;
        context.enter();
        check(JCudaDriver.cuStreamCreate(stream, CUstream_flags.CU_STREAM_NON_BLOCKING), "making a stream");
        context.handles().opened(this);
    }

    /** For queueing a copy, a graph, an event: anything but what the other methods are for. */
    CUstream handle() {
        afterKernel = false;
        return stream;
    }

    /** For taking and freeing memory: work only where it is recorded. */
    CUstream forMemory() {
        afterKernel &= !capturing;
        return stream;
    }

    /** For queueing a kernel. */
    CUstream forKernel() {
        afterKernel = true;
        return stream;
    }

    /** As {@link #forKernel}, for foreign calls. */
    long addressForKernel() {
        afterKernel = true;
        return stream.address();
    }

    /** Whether a kernel was queued last, so that another one can be told to start while it ends: a graph has such dependencies only between kernels. */
    boolean isAfterKernel() {
        return afterKernel;
    }

    /** Waits until all work in it is done; errors of that work show here. */
    void synchronize() {
        context.enter();
        check(JCudaDriver.cuStreamSynchronize(stream), "waiting for the device");
    }

    /** Tells whether work put into it is being recorded instead of run. */
    boolean isCapturing() {
        int[] status = new int[1];
        context.enter();
        check(JCudaDriver.cuStreamIsCapturing(stream, status), "asking whether a stream is captured");
        return status[0] == CUstreamCaptureStatus.CU_STREAM_CAPTURE_STATUS_ACTIVE;
    }

    /** Records from here on. */
    void beginCapture() {
        context.enter();
        check(
                JCudaDriver.cuStreamBeginCapture(stream, CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
                "beginning to record a graph");
        capturing = true;
        afterKernel = false;
    }

    /** Ends recording. */
    DeviceGraph endCapture() {
        CUgraph graph = new CUgraph();
        context.enter();
        ended();
        check(JCudaDriver.cuStreamEndCapture(stream, graph), "ending the record of a graph");
        return new DeviceGraph(context, graph);
    }

    private void ended() {
        capturing = false;
        afterKernel = false;
    }

    /** Ends a recording that failed, without hiding why it did. */
    void abandonCapture() {
        CUgraph graph = new CUgraph();
        ended();
        if (JCudaDriver.cuStreamEndCapture(stream, graph) == jcuda.driver.CUresult.CUDA_SUCCESS) {
            JCudaDriver.cuGraphDestroy(graph);
        }
    }

    @Override
    public String kind() {
        return "stream";
    }

    @Override
    public void close() {
        if (context.handles().closed(this)) {
            context.enter();
            check(JCudaDriver.cuStreamDestroy(stream), "closing a stream");
        }
    }
}
