package dev.dropless.kernels.cuda;

import static dev.dropless.kernels.cuda.KernelArguments.addressOf;
import static dev.dropless.kernels.cuda.Launcher.TILE;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/** What launches of all Hopper kernels share: tensor maps, tuning, which operands they take, and a count of those they took. */
final class HopperLaunches implements AutoCloseable {

    /** Bytes to which addresses and rows of operands are aligned. */
    private static final int ALIGNMENT = 16;

    /** Columns and depths are multiples of this. */
    static final int RUN = 8;

    /** Columns of a box of a result, and its rows. */
    static final int BOX = 64;

    private final Launcher launcher;
    private final TensorMaps maps;
    private final HopperTuning opened;
    private volatile HopperTuning tuning;
    private final AtomicLong taken = new AtomicLong();
    private final AtomicLong refused = new AtomicLong();
    private final AtomicLong refusedExperts = new AtomicLong();

    HopperLaunches(Launcher launcher, TensorMaps maps, HopperTuning tuning) {
        this.launcher = launcher;
        this.maps = maps;
        this.opened = tuning;
        this.tuning = tuning;
    }

    Launcher launcher() {
        return launcher;
    }

    TensorMaps maps() {
        return maps;
    }

    HopperTuning tuning() {
        return tuning;
    }

    /** The choices it was opened with. */
    HopperTuning opened() {
        return opened;
    }

    /** Launches by other choices from now on. */
    void tuning(HopperTuning choices) {
        tuning = choices;
    }

    /** Products computed by Hopper kernels. */
    long taken() {
        return taken.get();
    }

    /** Products left to the portable engine. */
    long refused() {
        return refused.get();
    }

    /** Those of them that are products of experts. */
    long refusedExperts() {
        return refusedExperts.get();
    }

    /** Counts a decision, and returns it. */
    boolean decide(boolean takes) {
        (takes ? taken : refused).incrementAndGet();
        return takes;
    }

    /** Counts a decision about a product of experts, and returns it. */
    boolean decideExperts(boolean takes) {
        if (!takes) {
            refusedExperts.incrementAndGet();
        }
        return decide(takes);
    }

    /** Types with kernels. */
    static boolean takes(ElementType type) {
        return type == ElementType.BF16 || type == ElementType.F16;
    }

    /** Whether a matrix, if there is one, has the type, and rows that begin at multiples of 16 bytes. */
    static boolean takes(ElementType type, @Nullable Matrix matrix) {
        return matrix == null
                || matrix.type() == type
                        && addressOf(matrix) % ALIGNMENT == 0
                        && matrix.rowStride() * type.bytes() % ALIGNMENT == 0
                        && matrix.rows() <= Integer.MAX_VALUE
                        && matrix.columns() <= Integer.MAX_VALUE;
    }

    /** Clusters that tiles of rows are shared out to. */
    static long steps(long rowTiles, int cluster) {
        return Math.ceilDiv(rowTiles, (long) cluster);
    }

    /** Row tiles of a matrix. */
    static long tiles(long rows) {
        return Math.ceilDiv(rows, (long) TILE);
    }

    /** Frees the maps. */
    @Override
    public void close() {
        maps.close();
    }
}
