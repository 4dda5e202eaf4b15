package dev.dropless.kernels.cuda;

import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.blocksparse.spi.RecordedWork;
import org.jspecify.annotations.Nullable;

/**
 * Work of an opened CUDA back end, recorded once and started as a whole as often as wanted: small batches are bound by the time it takes to start kernels one by one.
 *
 * <p>Matrices, weights and plans that the work uses are read and written at the addresses they had when it was recorded; they must stay open. Scratch memory belongs to
 * the graph. A whole pass of a layer that routes on the device ({@code MoeLayer.routingPlace}) follows its input, its routing included; forward and backward must be recorded together, so that
 * what the one saves for the other is the graph's. A plan of a topology of the host stands for one routing: work recorded over it repeats that routing. What cannot be recorded fails with {@link IllegalStateException} or {@link
 * CudaException}: making a plan, copies between host and device, products over a block pattern not used before.
 */
public final class CudaGraph implements RecordedWork {

    private final CudaKernels kernels;
    private final DeviceGraph graph;
    private final TensorMaps.@Nullable Recorded maps;

    private CudaGraph(CudaKernels kernels, DeviceGraph graph, TensorMaps.@Nullable Recorded maps) {
        this.kernels = kernels;
        this.graph = graph;
        this.maps = maps;
    }

    /**
     * Records what the calling thread asks these kernels to do; nothing is computed yet. No other thread may use the kernels meanwhile.
     *
     * @param kernels opened by {@link CudaBackend}
     * @param work what to record
     * @return the graph; the caller closes it before the kernels
     * @throws IllegalArgumentException if the kernels are another back end's
     * @throws CudaException if the work cannot be recorded
     */
    public static CudaGraph record(Kernels kernels, Runnable work) {
        if (!(kernels instanceof CudaKernels own)) {
            throw new IllegalArgumentException(
                    "kernels: expected those of backend %s, found %s".formatted(CudaBackend.NAME, kernels.name()));
        }
        HopperLaunches hopper = own.hopper();
        TensorMaps.Recorded maps = hopper == null ? null : hopper.maps().beginRecording();
        DeviceGraph graph = null;
        boolean ready = false;
        try {
            graph = capture(own.stream(), work);
            if (maps != null) {
                maps.make();
            }
            ready = true;
            return new CudaGraph(own, graph, maps);
        } finally {
            if (!ready) {
                close(graph, maps);
            }
        }
    }

    private static DeviceGraph capture(DeviceStream stream, Runnable work) {
        stream.beginCapture();
        boolean recorded = false;
        try {
            work.run();
            recorded = true;
        } finally {
            if (!recorded) {
                stream.abandonCapture();
            }
        }
        return stream.endCapture();
    }

    private static void close(@Nullable DeviceGraph graph, TensorMaps.@Nullable Recorded maps) {
        if (graph != null) {
            graph.close();
        }
        if (maps != null) {
            maps.close();
        }
    }

    @Override
    public void launch() {
        graph.launch(kernels.stream());
    }

    @Override
    public void close() {
        close(graph, maps);
    }
}
