package dev.dropless.benchmarks.peers;

import dev.dropless.benchmarks.Arm;
import dev.dropless.benchmarks.ArmProvider;
import dev.dropless.benchmarks.ExpertLoop;
import dev.dropless.benchmarks.GemmArm;
import dev.dropless.benchmarks.GemmTask;
import dev.dropless.benchmarks.LayerTask;
import dev.dropless.benchmarks.Task;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The peers that can be had from Maven Central. All are forward only: none has gradients of a grouped product. */
public final class PeerArms implements ArmProvider {

    private static final String ONEDNN = "onednn";
    private static final String ONEDNN_PADDED = "onednn-padded";
    private static final String OPENBLAS = "openblas";
    private static final String OPENBLAS_PADDED = "openblas-padded";
    private static final String OPENBLAS_SKYLAKEX = "openblas-skylakex";
    private static final String MKL = "mkl";
    private static final String LIBTORCH = "libtorch";
    private static final String ONNX = "onnxruntime-moe";

    /** For the service loader. */
    public PeerArms() {}

    @Override
    public List<String> arms(Task task) {
        return switch (task) {
            case LayerTask _ ->
                List.of(ONEDNN, MKL, LIBTORCH, ONNX, OPENBLAS, OPENBLAS_SKYLAKEX, ONEDNN_PADDED, OPENBLAS_PADDED);
            case GemmTask _ -> List.of(ONEDNN, MKL, OPENBLAS, OPENBLAS_SKYLAKEX);
            default -> List.of();
        };
    }

    @Override
    public @Nullable String unavailable(String arm, Task task) {
        String system = System.getProperty("os.name") + " " + System.getProperty("os.arch");
        if (!system.equals("Linux amd64")) {
            return "its native library is packaged for Linux amd64, found " + system;
        }
        if (task instanceof LayerTask layer) {
            if (layer.backward()) {
                return "forward only";
            }
            if (!layer.dtype().equals("f32") && !(layer.dtype().equals("bf16") && arm.startsWith(ONEDNN))) {
                return "no product of %s with sums in f32".formatted(layer.dtype());
            }
            if (arm.equals(ONNX) && !layer.layer().gated()) {
                return "its gelu is another one (erf) than the task's (tanh)";
            }
        }
        return null;
    }

    @Override
    public Arm open(String arm, Task task) {
        return switch (task) {
            case LayerTask layer -> layer(arm, layer);
            case GemmTask gemm ->
                new GemmArm(gemm, arm.equals(ONEDNN) ? OneDnnProducts.gemm(gemm) : cblas(arm, gemm.threads()));
            default -> throw new IllegalArgumentException("task: expected a layer or a dense product, found " + task);
        };
    }

    private static Arm layer(String arm, LayerTask task) {
        return switch (arm) {
            case ONNX -> new OnnxMoe(task);
            case ONEDNN, ONEDNN_PADDED -> new ExpertLoop(task, new OneDnnProducts(task), arm.equals(ONEDNN_PADDED));
            case LIBTORCH -> new ExpertLoop(task, new LibTorchProducts(task), false);
            default -> new ExpertLoop(task, cblas(arm, task.threads()).products(task), arm.equals(OPENBLAS_PADDED));
        };
    }

    private static Cblas cblas(String arm, int threads) {
        return arm.equals(MKL)
                ? Cblas.mkl(threads)
                : Cblas.openBlas(arm.equals(OPENBLAS_SKYLAKEX) ? "SkylakeX" : null, threads);
    }
}
