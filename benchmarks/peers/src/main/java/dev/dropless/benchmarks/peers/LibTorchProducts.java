package dev.dropless.benchmarks.peers;

import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import dev.dropless.benchmarks.DenseWeights;
import dev.dropless.benchmarks.ExpertProducts;
import dev.dropless.benchmarks.LayerTask;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;

/**
 * Experts' products by libtorch's {@code mm}, through DJL. Operands are tensors over memory of ours; a result is a new tensor
 * each time, as DJL knows no other way, and is read where it is.
 */
final class LibTorchProducts implements ExpertProducts {

    private final Arena arena = Arena.ofShared();
    private final NDManager manager;
    private final NDArray[] up;
    private final NDArray[] down;
    private final String description;
    private NDManager call;

    LibTorchProducts(LayerTask task) {
        System.setProperty("ai.djl.offline", "true");
        System.setProperty("OPT_OUT_TRACKING", "true");
        System.setProperty("DJL_CACHE_DIR", NativeLibraries.keptFolder("djl").toString());
        System.setProperty("ai.djl.pytorch.num_threads", Integer.toString(task.threads()));
        System.setProperty("ai.djl.pytorch.num_interop_threads", "1");
        Engine engine = Engine.getEngine("PyTorch");
        manager = engine.newBaseManager();
        call = manager.newSubManager();
        DenseWeights weights = new DenseWeights(task, arena);
        int experts = task.layer().numExperts();
        up = new NDArray[experts];
        down = new NDArray[experts];
        for (int e = 0; e < experts; e++) {
            up[e] = tensor(manager, weights.up(e));
            down[e] = tensor(manager, weights.down(e));
        }
        description = "libtorch %s (DJL), mm, %d threads".formatted(engine.getVersion(), task.threads());
    }

    private static NDArray tensor(NDManager owner, Matrix matrix) {
        if (matrix.rowStride() != matrix.columns()) {
            throw new IllegalArgumentException("matrix: expected dense rows, found " + matrix.describe());
        }
        MemorySegment memory = matrix.segment()
                .asSlice(matrix.index(0, 0) * Float.BYTES, matrix.rows() * matrix.columns() * Float.BYTES);
        Shape shape = new Shape(matrix.rows(), matrix.columns());
        return owner.create(memory.asByteBuffer().order(ByteOrder.nativeOrder()), shape, DataType.FLOAT32);
    }

    /** The tensors of the product before are freed. */
    private Matrix multiply(Matrix rows, NDArray weights) {
        call.close();
        call = manager.newSubManager();
        NDArray product = tensor(call, rows).matMul(weights);
        MemorySegment memory = MemorySegment.ofBuffer(product.toByteBuffer(true));
        return Matrix.of(
                memory, ElementType.F32, rows.rows(), product.getShape().get(1));
    }

    @Override
    public Matrix up(int expert, Matrix rows, Matrix pre) {
        return multiply(rows, up[expert]);
    }

    @Override
    public Matrix down(int expert, Matrix hidden, Matrix out) {
        return multiply(hidden, down[expert]);
    }

    @Override
    public String description() {
        return description;
    }

    @Override
    public void close() {
        call.close();
        manager.close();
        arena.close();
    }
}
