package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Activation;
import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.topology.Topology;
import java.lang.foreign.Arena;

/** What descriptions of calls refer to between two calls. */
final class Nothing {

    static final Matrix MATRIX = Matrix.of(new float[0], 0, 0);
    static final Topology TOPOLOGY = Topology.of(new int[0], 1, 1);
    static final Storage STORAGE = Storage.of(new float[0]);
    static final FloatActivation ACTIVATION = FloatActivation.of(Activation.of(Activation.Function.IDENTITY));
    static final CpuExpertWeights WEIGHTS = new CpuExpertWeights(
            new ExpertShape(1, 1, 1, false, false, false),
            ElementType.F32,
            Format.F32,
            Arena.global(),
            Storage::ofArray);

    private Nothing() {}
}
