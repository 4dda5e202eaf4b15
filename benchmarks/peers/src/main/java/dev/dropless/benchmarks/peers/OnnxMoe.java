package dev.dropless.benchmarks.peers;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import dev.dropless.benchmarks.Arm;
import dev.dropless.benchmarks.LayerCheck;
import dev.dropless.benchmarks.LayerTask;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.WeightPart;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * ONNX Runtime's operator com.microsoft.MoE on the CPU. It routes by itself: the logits given are the logarithms of the
 * task's weights, and very small for experts that were not chosen, so that its softmax over the k best gives the same
 * weights. Input, weights and output are direct buffers that it reads and writes in place.
 */
final class OnnxMoe implements Arm {

    private final Arena arena = Arena.ofShared();
    private final LayerTask task;
    private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
    private final OrtSession session;
    private final Map<String, OnnxTensor> inputs = new HashMap<>();
    private final Map<String, OnnxTensor> outputs = new HashMap<>();
    private final Matrix y;

    OnnxMoe(LayerTask task) {
        this.task = task;
        int t = task.tokens();
        int h = task.layer().hiddenSize();
        int f = task.layer().ffnHiddenSize();
        int p = task.layer().experts().preActivations();
        int e = task.layer().numExperts();
        y = Matrix.allocate(arena, ElementType.F32, t, h);
        try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
            options.setIntraOpNumThreads(task.threads());
            options.setInterOpNumThreads(1);
            session = environment.createSession(OnnxModel.moe(task.layer(), t), options);
            put("x", task.newInput(arena).segment().asByteBuffer(), t, h);
            put("router", logits(), t, e);
            put("up", upWeights(e, h, f, p), e, p, h);
            put("down", downWeights(e, h, f), e, h, f);
            outputs.put("y", tensor(y.segment().asByteBuffer(), t, h));
        } catch (OrtException exception) {
            throw new IllegalStateException(exception);
        }
    }

    private void put(String name, ByteBuffer buffer, long... shape) throws OrtException {
        inputs.put(name, tensor(buffer, shape));
    }

    private OnnxTensor tensor(ByteBuffer buffer, long... shape) throws OrtException {
        FloatBuffer floats = buffer.order(ByteOrder.nativeOrder()).asFloatBuffer();
        return OnnxTensor.createTensor(environment, floats, shape);
    }

    private ByteBuffer buffer(long floats) {
        return arena.allocate(floats * Float.BYTES, 64).asByteBuffer().order(ByteOrder.nativeOrder());
    }

    private ByteBuffer logits() {
        int experts = task.layer().numExperts();
        int k = task.layer().topK();
        float[] logits = new float[task.tokens() * experts];
        Arrays.fill(logits, -60f);
        int[] ids = task.expertIds();
        float[] weights = task.combineWeights();
        for (int slot = 0; slot < ids.length; slot++) {
            logits[slot / k * experts + ids[slot]] = (float) Math.log(weights[slot]);
        }
        ByteBuffer buffer = buffer(logits.length);
        buffer.asFloatBuffer().put(logits);
        return buffer;
    }

    /** [E, P, H]: rows of gate and up projections alternate, as the operator wants for SwiGLU. */
    private ByteBuffer upWeights(int experts, int h, int f, int p) {
        ByteBuffer buffer = buffer((long) experts * p * h);
        FloatBuffer all = buffer.asFloatBuffer();
        boolean gated = task.layer().gated();
        float[] row = new float[h];
        for (int e = 0; e < experts; e++) {
            float[] gate = task.weights(WeightPart.GATE, e);
            float[] up = gated ? task.weights(WeightPart.UP, e) : gate;
            for (int j = 0; j < p; j++) {
                float[] source = gated && j % 2 == 1 ? up : gate;
                int column = gated ? j / 2 : j;
                for (int i = 0; i < h; i++) {
                    row[i] = source[i * f + column];
                }
                all.put(row);
            }
        }
        return buffer;
    }

    private ByteBuffer downWeights(int experts, int h, int f) {
        ByteBuffer buffer = buffer((long) experts * h * f);
        FloatBuffer all = buffer.asFloatBuffer();
        float[] row = new float[f];
        for (int e = 0; e < experts; e++) {
            float[] down = task.weights(WeightPart.DOWN, e);
            for (int j = 0; j < h; j++) {
                for (int i = 0; i < f; i++) {
                    row[i] = down[i * h + j];
                }
                all.put(row);
            }
        }
        return buffer;
    }

    @Override
    public Object run() {
        try (OrtSession.Result result = session.run(inputs, outputs)) {
            return result.size();
        } catch (OrtException e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public double check() {
        y.fill(Double.NaN);
        run();
        return LayerCheck.check(task, new LayerCheck.Results(task.topology(), y, null, null));
    }

    @Override
    public String description() {
        return "ONNX Runtime %s, com.microsoft.MoE, %d threads".formatted(environment.getVersion(), task.threads());
    }

    @Override
    public double computedFlops() {
        return task.usefulFlops();
    }

    @Override
    public void close() {
        try {
            inputs.values().forEach(OnnxTensor::close);
            outputs.values().forEach(OnnxTensor::close);
            session.close();
        } catch (OrtException e) {
            throw new IllegalStateException(e);
        }
        arena.close();
    }
}
