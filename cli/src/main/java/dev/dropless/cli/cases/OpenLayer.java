package dev.dropless.cli.cases;

import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.MoeLayer;
import dev.dropless.moe.MoeParameters;
import dev.dropless.moe.Precision;
import dev.dropless.moe.padded.CapacityPolicy;
import dev.dropless.moe.padded.PaddedExecution;
import java.util.function.Consumer;

/** A layer with its parameters, computed in a chosen way. */
public final class OpenLayer implements AutoCloseable {

    private final MoeLayer owner;
    private final MoeLayer layer;

    private OpenLayer(MoeLayer owner, MoeLayer layer) {
        this.owner = owner;
        this.layer = layer;
    }

    /**
     * Opens a layer.
     *
     * @param path how experts are computed; {@link EvalPath#SPARSE} needs kernels that are composed of block-sparse products
     * @param kernels what computes; closed by the caller, after this
     * @param config what to compute
     * @param precision types of parameters and activations
     * @param fill writes the parameters, which are zero before
     * @return the layer; the caller closes it
     */
    public static OpenLayer open(
            EvalPath path, Kernels kernels, MoeConfig config, Precision precision, Consumer<MoeParameters> fill) {
        MoeLayer layer = MoeLayer.create(kernels, config, precision);
        boolean filled = false;
        try {
            fill.accept(layer.parameters());
            filled = true;
            return new OpenLayer(layer, path == EvalPath.PADDED ? padded(kernels, layer) : layer);
        } finally {
            if (!filled) {
                layer.close();
            }
        }
    }

    /**
     * Returns the layer.
     *
     * @return the layer, open as long as this is
     */
    public MoeLayer layer() {
        return layer;
    }

    private static MoeLayer padded(Kernels kernels, MoeLayer layer) {
        return PaddedExecution.layerLike(kernels, layer, CapacityPolicy.maximumLoad());
    }

    @Override
    public void close() {
        layer.close();
        owner.close();
    }
}
