package dev.dropless.kernels.cuda;

import static dev.dropless.kernels.cuda.Launcher.TILE;

import java.util.Objects;

/** Kernels of {@code block_sparse.cu}: every type, any address and stride. */
final class PortableBlocks implements BlockEngine {

    private final Launcher launcher;

    PortableBlocks(Launcher launcher) {
        this.launcher = launcher;
    }

    private static long tiles(Product p) {
        if (p.kind() == Kind.DENSE) {
            return Math.ceilDiv(p.rows(), (long) TILE) * Math.ceilDiv(p.columns(), (long) TILE);
        }
        DevicePattern pattern = Objects.requireNonNull(p.pattern());
        long perSide = Math.ceilDiv(pattern.blockSize(), TILE);
        if (p.kind() == Kind.SDD) {
            return pattern.blocks() * perSide * perSide;
        }
        long across = p.kind() == Kind.DSD ? p.columns() : p.rows();
        return p.stripes() * perSide * Math.ceilDiv(across, (long) TILE);
    }

    @Override
    public void product(Product p) {
        launcher.tiles("matmul", BlockEngine.letters(p.ta(), p.tb()), p.type(), tiles(p), words -> {
            words.word(p.kind().ordinal())
                    .matrix(p.a())
                    .matrix(p.b())
                    .matrix(p.c())
                    .word(p.rows())
                    .word(p.columns())
                    .word(p.depth())
                    .flag(p.accumulate());
            DevicePattern.write(p.pattern(), words);
        });
    }
}
