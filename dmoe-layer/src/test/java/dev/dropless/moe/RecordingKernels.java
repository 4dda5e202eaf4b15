package dev.dropless.moe;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.MemorySpace;
import dev.dropless.blocksparse.spi.BlockSparseKernels;
import dev.dropless.blocksparse.spi.ExpertKernels;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.topology.TaskRunner;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/** Passes everything on, noting which products ran and how many bytes are allocated; may ask for another type of rows. */
final class RecordingKernels implements Kernels {

    private final Kernels kernels;
    private final @Nullable ElementType rows;
    final List<String> calls = Collections.synchronizedList(new ArrayList<>());
    final AtomicLong liveBytes = new AtomicLong();

    RecordingKernels(Kernels kernels) {
        this(kernels, null);
    }

    /** With a type of rows, or null for that of the kernels. */
    RecordingKernels(Kernels kernels, @Nullable ElementType rows) {
        this.kernels = kernels;
        this.rows = rows;
    }

    private <T> T recording(Class<T> type, T target) {
        Object proxy =
                Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, (self, method, arguments) -> {
                    calls.add(method.getName());
                    try {
                        return method.invoke(target, arguments);
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
        return type.cast(proxy);
    }

    @Override
    public String name() {
        return kernels.name();
    }

    @Override
    public String description() {
        return kernels.description();
    }

    @Override
    public ElementType accumulation() {
        return kernels.accumulation();
    }

    @Override
    public ElementType rows(ElementType weights, ElementType activations) {
        return rows != null ? rows : kernels.rows(weights, activations);
    }

    @Override
    public BlockSparseKernels blockSparse() {
        return recording(BlockSparseKernels.class, kernels.blockSparse());
    }

    @Override
    public ExpertKernels experts() {
        return recording(ExpertKernels.class, kernels.experts());
    }

    @Override
    public KernelMemory memory() {
        return new CountingMemory();
    }

    @Override
    public TaskRunner tasks() {
        return kernels.tasks();
    }

    @Override
    public void close() {
        kernels.close();
    }

    private final class CountingMemory implements KernelMemory {
        @Override
        public MemorySpace space() {
            return kernels.memory().space();
        }

        @Override
        public Scope open() {
            return new CountingScope(kernels.memory().open());
        }

        @Override
        public void copy(Matrix source, Matrix target) {
            kernels.memory().copy(source, target);
        }
    }

    private final class CountingScope implements KernelMemory.Scope {
        private final KernelMemory.Scope scope;
        private long bytes;

        CountingScope(KernelMemory.Scope scope) {
            this.scope = scope;
        }

        @Override
        public Matrix allocate(ElementType type, long rows, long columns) {
            Matrix matrix = scope.allocate(type, rows, columns);
            matrix.fill(Double.NaN); // content is undefined: whoever reads before writing shows
            bytes += rows * columns * type.bytes();
            liveBytes.addAndGet(rows * columns * type.bytes());
            return matrix;
        }

        @Override
        public void close() {
            liveBytes.addAndGet(-bytes);
            bytes = 0;
            scope.close();
        }
    }
}
