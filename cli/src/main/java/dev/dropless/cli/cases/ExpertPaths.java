package dev.dropless.cli.cases;

import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.MoeConfig;
import dev.dropless.moe.MoeLayer;
import dev.dropless.moe.MoeParameters;

/** Opens a layer that computes its experts in a given way. */
final class ExpertPaths {

    private ExpertPaths() {}

    static MoeLayer open(EvalPath path, Kernels kernels, MoeConfig config, MoeParameters parameters) {
        throw new UnsupportedOperationException(path + "" + kernels + config + parameters);
    }
}
