package dev.dropless.benchmarks;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.topology.Topology;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * What people write without a grouped kernel: for each expert gather its rows, two dense products with the activation
 * between them, add the weighted result. Either each expert has as many rows as tokens chose it, or all as many as the
 * busiest one. Gather, activation and scatter are vectorised, and the same for every library.
 */
public final class ExpertLoop implements Arm {

    private final LayerTask task;
    private final ExpertProducts products;
    private final boolean padded;
    private final Arena arena = Arena.ofShared();
    private final Topology topology;
    private final float[] weights;
    private final Matrix x;
    private final Matrix y;
    private final Matrix rows;
    private final Matrix pre;
    private final Matrix hidden;
    private final Matrix out;

    /**
     * Takes memory for the busiest expert.
     *
     * @param task forward only
     * @param products computes the products; closed with this
     * @param padded whether every expert computes as many rows as the busiest one
     */
    public ExpertLoop(LayerTask task, ExpertProducts products, boolean padded) {
        this.task = task;
        this.products = products;
        this.padded = padded;
        topology = task.topology();
        weights = task.combineWeights();
        x = task.newInput(arena);
        int h = task.layer().hiddenSize();
        y = Matrix.allocate(arena, ElementType.F32, task.tokens(), h);
        int max = topology.maxTokensPerExpert();
        rows = Matrix.allocate(arena, task.type(), max, h);
        pre = Matrix.allocate(
                arena, ElementType.F32, max, task.layer().experts().preActivations());
        hidden = Matrix.allocate(arena, task.type(), max, task.layer().ffnHiddenSize());
        out = Matrix.allocate(arena, ElementType.F32, max, h);
    }

    @Override
    public Object run() {
        y.segment().fill((byte) 0);
        for (int e = 0; e < topology.numExperts(); e++) {
            int load = topology.tokensPerExpert(e);
            int m = padded ? topology.maxTokensPerExpert() : load;
            if (m == 0) {
                continue;
            }
            gather(e, load, m);
            Matrix sums = products.up(e, rows.sliceRows(0, m), pre.sliceRows(0, m));
            LoopMath.activate(
                    task.layer().gated(),
                    m,
                    task.layer().ffnHiddenSize(),
                    sums.segment(),
                    hidden.segment(),
                    task.type());
            scatter(e, load, products.down(e, hidden.sliceRows(0, m), out.sliceRows(0, m)));
        }
        return y;
    }

    private void gather(int expert, int load, int m) {
        long bytes = x.columns() * x.type().bytes();
        for (int i = 0; i < load; i++) {
            int token = topology.tokenOfRow(topology.offset(expert) + i);
            MemorySegment.copy(x.segment(), token * bytes, rows.segment(), i * bytes, bytes);
        }
        rows.segment().asSlice(load * bytes, (m - load) * bytes).fill((byte) 0);
    }

    private void scatter(int expert, int load, Matrix outputs) {
        int h = (int) y.columns();
        for (int i = 0; i < load; i++) {
            int slot = topology.slotOfRow(topology.offset(expert) + i);
            long target = (long) (slot / topology.topK()) * h;
            LoopMath.addScaled(h, weights[slot], outputs.segment(), (long) i * h, y.segment(), target);
        }
    }

    @Override
    public double check() {
        y.fill(Double.NaN);
        out.fill(Double.NaN);
        run();
        return LayerCheck.check(task, new LayerCheck.Results(topology, y, null, null));
    }

    @Override
    public String description() {
        return products.description() + (padded ? ", every expert padded to the busiest" : ", expert by expert");
    }

    @Override
    public double computedFlops() {
        return padded
                ? task.flopsOfRows((double) topology.numExperts() * topology.maxTokensPerExpert())
                : task.usefulFlops();
    }

    @Override
    public void close() {
        products.close();
        arena.close();
    }
}
