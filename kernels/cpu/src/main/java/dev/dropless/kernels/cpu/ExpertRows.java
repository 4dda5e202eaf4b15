package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Matrix;
import dev.dropless.topology.Topology;
import org.jspecify.annotations.Nullable;

/** The rows of all experts as one side of a sum over them: rows of a matrix, by token or by row, each with its slot's weight. */
final class ExpertRows implements Pool.Reusable {

    private Topology topology = Nothing.TOPOLOGY;
    private Matrix matrix = Nothing.MATRIX;
    private boolean byToken;
    private @Nullable Matrix weights;

    void set(Topology newTopology, Matrix newMatrix, boolean isByToken, @Nullable Matrix newWeights) {
        topology = newTopology;
        matrix = newMatrix;
        byToken = isByToken;
        weights = newWeights;
    }

    @Override
    public void clear() {
        set(Nothing.TOPOLOGY, Nothing.MATRIX, false, null);
    }

    Topology topology() {
        return topology;
    }

    Matrix matrix() {
        return matrix;
    }

    boolean byToken() {
        return byToken;
    }

    long matrixRow(int row) {
        return byToken ? topology.tokenOfRow(row) : row;
    }

    boolean weighted() {
        return weights != null;
    }

    float weight(int row) {
        return SlotWeights.ofRow(weights, topology, row);
    }
}
