package dev.dropless.cli.cases;

import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.MoeLayer;
import dev.dropless.moe.MoeParameters;
import dev.dropless.moe.Precision;
import java.util.function.Consumer;

/** A layer with its parameters, computed in a chosen way. */
public final class OpenLayer implements AutoCloseable {

    private final MoeLayer layer;

    private OpenLayer(MoeLayer layer) {
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
        if (path == EvalPath.PADDED) {
            throw new UnsupportedOperationException("not yet");
        }
        MoeLayer layer = MoeLayer.create(kernels, config, precision);
        boolean filled = false;
        try {
            fill.accept(layer.parameters());
            filled = true;
            return new OpenLayer(layer);
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

    @Override
    public void close() {
        layer.close();
    }
}
