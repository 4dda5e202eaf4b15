package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.ExpertShape;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.Transpose;
import dev.dropless.blocksparse.WeightPart;
import dev.dropless.blocksparse.spi.ExpertOperands;
import dev.dropless.blocksparse.spi.ExpertWeights;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Projections in {@linkplain PackedWeights panels}, gate and up side by side; each bias as one run [numExperts * size]. */
final class CpuExpertWeights implements ExpertWeights {

    private final ExpertShape shape;
    private final ElementType type;
    private final boolean int8;
    private final PackedWeights up;
    private final PackedWeights down;
    private final Map<WeightPart, Storage> biases = new EnumMap<>(WeightPart.class);
    /** Owns what the allocator takes from the system. */
    private final Arena arena;

    private boolean closed; // guarded by this

    /**
     * Allocates zero weights.
     *
     * @param type of biases, and of projections unless these are in another format
     * @param projections format of the projections
     * @param arena closed with the weights
     */
    CpuExpertWeights(
            ExpertShape shape, ElementType type, Format projections, Arena arena, Storage.Allocator allocator) {
        Format format = Format.of(type);
        this.int8 = projections == Format.INT8;
        this.arena = arena;
        this.shape = shape;
        this.type = type;
        int h = shape.hiddenSize();
        int f = shape.ffnHiddenSize();
        this.up = new PackedWeights(projections, shape.numExperts(), h, f, shape.gated() ? 2 : 1, allocator);
        this.down = new PackedWeights(projections, shape.numExperts(), f, h, 1, allocator);
        for (WeightPart part : List.of(WeightPart.GATE_BIAS, WeightPart.UP_BIAS, WeightPart.DOWN_BIAS)) {
            if (shape.has(part)) {
                biases.put(
                        part, allocator.allocate(format, Math.multiplyExact(shape.numExperts(), shape.columns(part))));
            }
        }
    }

    /** Checks that weights belong to this back end and are open. */
    static CpuExpertWeights own(String argument, ExpertWeights weights) {
        if (!(weights instanceof CpuExpertWeights own)) {
            throw new IllegalArgumentException("%s: expected weights allocated by back end %s, found %s"
                    .formatted(argument, CpuBackend.NAME, weights.getClass().getSimpleName()));
        }
        own.checkOpen();
        return own;
    }

    private synchronized void checkOpen() {
        if (closed) {
            throw new IllegalStateException("weights are closed");
        }
    }

    /** Gate, and up where gated. */
    PackedWeights up() {
        return up;
    }

    PackedWeights down() {
        return down;
    }

    /** The bias [numExperts * columns(part)], or null where there is none. */
    @Nullable
    Storage bias(WeightPart part) {
        return biases.get(part);
    }

    @Override
    public ExpertShape shape() {
        return shape;
    }

    @Override
    public ElementType type() {
        return type;
    }

    @Override
    public void load(WeightPart part, int expert, Matrix source, Transpose transpose) {
        checkOpen();
        ExpertOperands.part(shape, part, expert, "source", source, transpose);
        switch (part) {
            case GATE -> up.load(expert, 0, source, transpose);
            case UP -> up.load(expert, 1, source, transpose);
            case DOWN -> down.load(expert, 0, source, transpose);
            case GATE_BIAS, UP_BIAS, DOWN_BIAS -> copy(source, transpose, bias(part, expert), Transpose.N);
        }
    }

    @Override
    public void store(WeightPart part, int expert, Matrix target, Transpose transpose) {
        checkOpen();
        ExpertOperands.part(shape, part, expert, "target", target, transpose);
        switch (part) {
            case GATE -> up.store(expert, 0, target, transpose);
            case UP -> up.store(expert, 1, target, transpose);
            case DOWN -> down.store(expert, 0, target, transpose);
            case GATE_BIAS, UP_BIAS, DOWN_BIAS -> copy(bias(part, expert), Transpose.N, target, transpose);
        }
    }

    private Matrix bias(WeightPart part, int expert) {
        int columns = shape.columns(part);
        Storage storage = biases.get(part);
        if (storage == null) {
            throw new IllegalArgumentException("part: expected one of %s, found %s".formatted(biases.keySet(), part));
        }
        return storage.matrix().sliceColumns((long) expert * columns, columns);
    }

    /** Copies a bias, which transposed is a column. */
    private static void copy(Matrix source, Transpose ts, Matrix target, Transpose tt) {
        long n = Math.max(source.rows(), source.columns());
        for (long i = 0; i < n; i++) {
            double value = ts == Transpose.N ? source.get(0, i) : source.get(i, 0);
            if (tt == Transpose.N) {
                target.set(0, i, value);
            } else {
                target.set(i, 0, value);
            }
        }
    }

    @Override
    public void zero() {
        checkOpen();
        up.zero();
        down.zero();
        biases.values().forEach(Storage::zero);
    }

    @Override
    public boolean isInt8() {
        return int8;
    }

    @Override
    public List<Matrix> storage() {
        checkOpen();
        if (int8) {
            throw ExpertOperands.noStorage();
        }
        return all().stream().map(Storage::matrix).toList();
    }

    private List<Storage> all() {
        List<Storage> all = new ArrayList<>(up.storage());
        all.addAll(down.storage());
        all.addAll(biases.values());
        return all;
    }

    @Override
    public synchronized void close() {
        if (!closed) {
            arena.close();
            closed = true;
        }
    }
}
