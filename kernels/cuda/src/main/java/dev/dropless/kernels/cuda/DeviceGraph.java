package dev.dropless.kernels.cuda;

import static dev.dropless.kernels.cuda.CudaResults.check;

import jcuda.driver.CUgraph;
import jcuda.driver.CUgraphExec;
import jcuda.driver.JCudaDriver;

/** Recorded work that can be started as a whole. */
final class DeviceGraph implements Handles.Handle {

    private final DeviceContext context;
    private final CUgraph graph;
    private final CUgraphExec executable = new CUgraphExec();

    DeviceGraph(DeviceContext context, CUgraph graph) {
        this.context = context;
        this.graph = graph;
        int result = JCudaDriver.cuGraphInstantiate(executable, graph, 0);
        if (result != jcuda.driver.CUresult.CUDA_SUCCESS) {
            JCudaDriver.cuGraphDestroy(graph);
            check(result, "preparing a graph");
        }
        context.handles().opened(this);
    }

    /** Starts the work in a stream. */
    void launch(DeviceStream stream) {
        context.enter();
        check(JCudaDriver.cuGraphLaunch(executable, stream.handle()), "starting a graph");
    }

    @Override
    public String kind() {
        return "graph";
    }

    @Override
    public void close() {
        if (context.handles().closed(this)) {
            context.enter();
            check(JCudaDriver.cuGraphExecDestroy(executable), "closing a graph");
            check(JCudaDriver.cuGraphDestroy(graph), "closing the record of a graph");
        }
    }
}
