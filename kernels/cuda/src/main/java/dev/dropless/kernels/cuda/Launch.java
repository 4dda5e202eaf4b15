package dev.dropless.kernels.cuda;

/**
 * How a kernel is started.
 *
 * @param gridX blocks
 * @param gridY blocks
 * @param gridZ blocks
 * @param blockX threads of a block; all kernels here have one-dimensional blocks
 * @param sharedBytes dynamic shared memory of a block
 * @param clusterX blocks of a cluster, 1 for none
 * @param afterPrevious whether the kernel may start while the one before it in the stream ends (programmatic dependent launch)
 */
record Launch(int gridX, int gridY, int gridZ, int blockX, int sharedBytes, int clusterX, boolean afterPrevious) {

    Launch {
        if (clusterX < 1 || gridX % clusterX != 0) {
            throw new IllegalArgumentException(
                    "gridX: expected a multiple of clusterX = %d, found %d".formatted(clusterX, gridX));
        }
    }

    /** A one-dimensional grid. */
    static Launch of(long blocks, int threads, int sharedBytes) {
        return of(blocks, 1, 1, threads, sharedBytes);
    }

    /** A grid without clusters. */
    static Launch of(long gridX, long gridY, long gridZ, int threads, int sharedBytes) {
        if (gridX > Integer.MAX_VALUE || gridY > 65_535 || gridZ > 65_535) {
            throw new IllegalArgumentException(
                    "grid: expected at most 2^31 - 1 x 65535 x 65535 blocks, found %d x %d x %d"
                            .formatted(gridX, gridY, gridZ));
        }
        return new Launch((int) gridX, (int) gridY, (int) gridZ, threads, sharedBytes, 1, false);
    }

    /** No blocks: the driver refuses such grids, and there is nothing to do. */
    boolean isEmpty() {
        return gridX == 0 || gridY == 0 || gridZ == 0;
    }

    boolean needsAttributes() {
        return clusterX > 1 || afterPrevious;
    }
}
