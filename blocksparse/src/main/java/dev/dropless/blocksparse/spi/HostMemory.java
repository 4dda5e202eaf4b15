package dev.dropless.blocksparse.spi;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.MemorySpace;
import java.lang.foreign.Arena;

/**
 * The host's memory, for back ends that compute on the host. Scopes may be used and closed by any thread, one at a
 * time.
 */
public final class HostMemory implements KernelMemory {

    /** Creates an instance; it has no state. */
    public HostMemory() {}

    @Override
    public MemorySpace space() {
        return MemorySpace.HOST;
    }

    @Override
    public Scope open() {
        return new HostScope(Arena.ofShared());
    }

    @Override
    public void copy(Matrix source, Matrix target) {
        Operands.space("source", source, space());
        Operands.space("target", target, space());
        target.copyFrom(source);
    }

    private record HostScope(Arena arena) implements Scope {

        @Override
        public Matrix allocate(ElementType type, long rows, long columns) {
            return Matrix.allocate(arena, type, rows, columns);
        }

        @Override
        public void close() {
            if (arena.scope().isAlive()) {
                arena.close();
            }
        }
    }
}
