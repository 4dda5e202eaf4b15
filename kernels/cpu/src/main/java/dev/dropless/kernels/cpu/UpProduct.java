package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.topology.Topology;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/** pre = v x W + b and hidden = activation(pre): tokens are gathered by the copy of rows, the activation runs on the finished tile. */
final class UpProduct extends RowProduct {

    private Matrix x = Nothing.MATRIX;
    private @Nullable Matrix inputWeights;
    private CpuExpertWeights experts = Nothing.WEIGHTS;
    private FloatActivation activation = Nothing.ACTIVATION;
    private @Nullable Matrix pre;
    private Matrix hidden = Nothing.MATRIX;

    UpProduct(TileKernels kernels) {
        super(kernels, false);
    }

    UpProduct set(
            Topology topology,
            Matrix x,
            @Nullable Matrix inputWeights,
            CpuExpertWeights experts,
            FloatActivation activation,
            @Nullable Matrix pre,
            Matrix hidden) {
        set(topology, experts.up());
        this.x = x;
        this.inputWeights = inputWeights;
        this.experts = experts;
        this.activation = activation;
        this.pre = pre;
        this.hidden = hidden;
        return this;
    }

    @Override
    public void clear() {
        set(Nothing.TOPOLOGY, Nothing.MATRIX, null, Nothing.WEIGHTS, Nothing.ACTIVATION, null, Nothing.MATRIX);
    }

    /** A weighted input is no bfloat16 any more. */
    @Override
    boolean paired() {
        return inputWeights == null && canPair(x);
    }

    @Override
    void packRow(int row, int k, int depth, int offset, Scratch scratch) {
        packTerms(x, topology.tokenOfRow(row), k, depth, offset, scratch);
        if (inputWeights != null) {
            kernels.scale(depth, SlotWeights.ofRow(inputWeights, topology, row), scratch.rows, offset);
        }
    }

    @Override
    void end(int expert, int row, int rows, int panel, float[] tile, int offset, Scratch scratch) {
        weights.scale(expert, panel, rows, tile, offset);
        ExpertShape shape = experts.shape();
        int lane = weights.lane();
        int f = panel * lane;
        int count = Math.min(lane, shape.ffnHiddenSize() - f);
        int first = topology.offset(expert) + row;
        if (canActivateTiles(count)) {
            activateTile(first, rows, f, scratch, offset);
            return;
        }
        int bias = expert * shape.ffnHiddenSize() + f;
        float[] gate = part(0, rows, offset, scratch);
        addBias(experts.bias(WeightPart.GATE_BIAS), bias, count, rows, lane, gate, 0, scratch);
        if (pre != null) {
            writeTile(scratch.bufferStorage(0), 0, lane, count, pre, first, rows, f);
        }
        if (shape.gated()) {
            float[] up = part(1, rows, offset, scratch);
            addBias(experts.bias(WeightPart.UP_BIAS), bias, count, rows, lane, up, 0, scratch);
            if (pre != null) {
                writeTile(scratch.bufferStorage(1), 0, lane, count, pre, first, rows, shape.ffnHiddenSize() + f);
            }
            kernels.activateGated(activation, rows * lane, gate, 0, up, 0, gate, 0);
        } else {
            kernels.activate(activation, rows * lane, gate, 0, gate, 0);
        }
        writeTile(scratch.bufferStorage(0), 0, lane, count, hidden, first, rows, f);
    }

    /** Whether the tile needs nothing but the activation, and the kernels do that in one pass. */
    private boolean canActivateTiles(int count) {
        return experts.shape().gated()
                && count == TileKernels.BLOCK
                && hidden.type() == ElementType.F32
                && experts.bias(WeightPart.GATE_BIAS) == null
                && experts.bias(WeightPart.UP_BIAS) == null
                && kernels.activatesTiles(activation);
    }

    private void activateTile(int first, int rows, int f, Scratch scratch, int offset) {
        int lane = weights.lane();
        if (pre != null) {
            int up = experts.shape().ffnHiddenSize() + f;
            writeTile(scratch.results, offset, TileKernels.PANEL, lane, pre, first, rows, f);
            writeTile(scratch.results, offset + lane, TileKernels.PANEL, lane, pre, first, rows, up);
        }
        kernels.activateTile(
                activation,
                rows,
                scratch.results,
                offset,
                hidden.segment(),
                hidden.index(first, f),
                hidden.rowStride());
    }

    /** The columns of one part, side by side. */
    private float[] part(int part, int rows, int offset, Scratch scratch) {
        int lane = weights.lane();
        float[] values = scratch.buffer(part, rows * lane);
        MemorySegment source = scratch.results.segment();
        MemorySegment target = scratch.bufferStorage(part).segment();
        kernels.copyRows(rows, lane, source, offset + part * lane, TileKernels.PANEL, target, 0, lane);
        return values;
    }
}
