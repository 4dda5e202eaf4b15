package dev.dropless.kernels.cuda;

import static dev.dropless.kernels.cuda.CudaResults.check;
import static dev.dropless.kernels.cuda.KernelArguments.addressOf;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.MemorySpace;
import dev.dropless.blocksparse.spi.KernelMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import jcuda.driver.CUDA_MEMCPY2D;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUmemorytype;
import jcuda.driver.JCudaDriver;

/**
 * Memory of one device. A matrix in it has the device address as a segment of size zero. Copies are queued behind the kernels; one to the host waits for them, one from the
 * host returns when its source may be changed. Types are converted on the device, but for F64, which is converted on the host so that it is rounded once.
 */
final class CudaMemory implements KernelMemory {

    private final DeviceContext context;
    private final DeviceStream stream;
    private final Launcher launcher;
    private final MemorySpace space;

    CudaMemory(DeviceContext context, DeviceStream stream, Launcher launcher) {
        this.context = context;
        this.stream = stream;
        this.launcher = launcher;
        this.space = new MemorySpace(CudaBackend.NAME, context.ordinal());
    }

    @Override
    public MemorySpace space() {
        return space;
    }

    @Override
    public DeviceScope open() {
        return new DeviceScope();
    }

    @Override
    public OptionalLong available() {
        return OptionalLong.of(context.memory()[0] + context.extras().keptMemory(context.ordinal()));
    }

    @Override
    public void copy(Matrix source, Matrix target) {
        known("source", source);
        known("target", target);
        if (source.rows() != target.rows() || source.columns() != target.columns()) {
            throw new IllegalArgumentException("source: expected [%d, %d], the shape of target, found %s"
                    .formatted(target.rows(), target.columns(), source.describe()));
        }
        if (source.rows() == 0 || source.columns() == 0) {
            return;
        }
        boolean fromHost = source.space().isHost();
        boolean toHost = target.space().isHost();
        if (fromHost && toHost) {
            target.copyFrom(source);
        } else if (fromHost || toHost) {
            if (stream.isCapturing()) {
                throw new IllegalStateException("a copy between host and device cannot be recorded in a graph");
            }
            if (fromHost) {
                upload(source, target);
            } else {
                download(source, target);
            }
        } else {
            copyOnDevice(source, target);
        }
    }

    private void known(String argument, Matrix matrix) {
        if (!matrix.space().isHost() && !matrix.space().equals(space)) {
            throw new IllegalArgumentException("%s: expected memory of the host or of %s device %d, found %s device %d"
                    .formatted(
                            argument,
                            space.backend(),
                            space.device(),
                            matrix.space().backend(),
                            matrix.space().device()));
        }
    }

    private static boolean needsHostConversion(ElementType a, ElementType b) {
        return a != b && (a == ElementType.F64 || b == ElementType.F64);
    }

    private void upload(Matrix source, Matrix target) {
        if (source.type() == target.type()) {
            uploadSameType(source, target);
        } else if (needsHostConversion(source.type(), target.type())) {
            try (Arena arena = Arena.ofConfined()) {
                Matrix converted = Matrix.allocate(arena, target.type(), source.rows(), source.columns());
                converted.copyFrom(source);
                uploadSameType(converted, target);
            }
        } else {
            try (DeviceScope scratch = open()) {
                Matrix raw = scratch.allocate(source.type(), source.rows(), source.columns());
                uploadSameType(source, raw);
                launcher.convert(raw, target);
            }
        }
    }

    private void download(Matrix source, Matrix target) {
        if (source.type() == target.type()) {
            downloadSameType(source, target);
        } else if (needsHostConversion(source.type(), target.type())) {
            try (Arena arena = Arena.ofConfined()) {
                Matrix raw = Matrix.allocate(arena, source.type(), source.rows(), source.columns());
                downloadSameType(source, raw);
                target.copyFrom(raw);
            }
        } else {
            try (DeviceScope scratch = open()) {
                Matrix converted = scratch.allocate(target.type(), source.rows(), source.columns());
                launcher.convert(source, converted);
                downloadSameType(converted, target);
            }
        }
    }

    private void uploadSameType(Matrix source, Matrix target) {
        if (source.segment().isNative()) {
            transfer(source, true, target, false);
            return;
        }
        try (Arena arena = Arena.ofConfined()) {
            Matrix staged = Matrix.allocate(arena, source.type(), source.rows(), source.columns());
            staged.copyFrom(source);
            transfer(staged, true, target, false);
        }
    }

    private void downloadSameType(Matrix source, Matrix target) {
        if (target.segment().isNative()) {
            transfer(source, false, target, true);
            stream.synchronize();
            return;
        }
        try (Arena arena = Arena.ofConfined()) {
            Matrix staged = Matrix.allocate(arena, source.type(), source.rows(), source.columns());
            transfer(source, false, staged, true);
            stream.synchronize();
            target.copyFrom(staged);
        }
    }

    private void copyOnDevice(Matrix source, Matrix target) {
        if (source.type() == target.type()) {
            transfer(source, false, target, false);
        } else if (needsHostConversion(source.type(), target.type())) {
            try (Arena arena = Arena.ofConfined()) {
                Matrix raw = Matrix.allocate(arena, source.type(), source.rows(), source.columns());
                downloadSameType(source, raw);
                upload(raw, target);
            }
        } else {
            launcher.convert(source, target);
        }
    }

    /** Queues a copy of native or device memory. */
    private void transfer(Matrix source, boolean fromHost, Matrix target, boolean toHost) {
        context.enter();
        long width = source.columns() * source.type().bytes();
        CUdeviceptr from = pointer(source);
        CUdeviceptr to = pointer(target);
        if (source.rows() == 1 || source.rowStride() == source.columns() && target.rowStride() == target.columns()) {
            long bytes = source.rows() * width;
            int result;
            if (fromHost) {
                result = JCudaDriver.cuMemcpyHtoDAsync(to, from, bytes, stream.handle());
            } else if (toHost) {
                result = JCudaDriver.cuMemcpyDtoHAsync(to, from, bytes, stream.handle());
            } else {
                result = JCudaDriver.cuMemcpyDtoDAsync(to, from, bytes, stream.handle());
            }
            check(result, "copying %d bytes".formatted(bytes));
            return;
        }
        CUDA_MEMCPY2D copy = new CUDA_MEMCPY2D();
        copy.srcPitch = source.rowStride() * source.type().bytes();
        copy.dstPitch = target.rowStride() * target.type().bytes();
        copy.WidthInBytes = width;
        copy.Height = source.rows();
        copy.srcMemoryType = fromHost ? CUmemorytype.CU_MEMORYTYPE_HOST : CUmemorytype.CU_MEMORYTYPE_DEVICE;
        copy.dstMemoryType = toHost ? CUmemorytype.CU_MEMORYTYPE_HOST : CUmemorytype.CU_MEMORYTYPE_DEVICE;
        if (fromHost) {
            copy.srcHost = from;
        } else {
            copy.srcDevice = from;
        }
        if (toHost) {
            copy.dstHost = to;
        } else {
            copy.dstDevice = to;
        }
        check(
                JCudaDriver.cuMemcpy2DAsync(copy, stream.handle()),
                "copying %d rows of %d bytes".formatted(copy.Height, width));
    }

    private static CUdeviceptr pointer(Matrix matrix) {
        return new CUdeviceptr().withByteOffset(addressOf(matrix));
    }

    /** Queues a copy of a host array; the array may change when this returns. */
    void upload(int[] source, long target) {
        if (source.length == 0) {
            return;
        }
        if (stream.isCapturing()) {
            throw new IllegalStateException("a plan cannot be made while a graph is recorded: make it before");
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment staged = arena.allocateFrom(java.lang.foreign.ValueLayout.JAVA_INT, source);
            context.enter();
            check(
                    JCudaDriver.cuMemcpyHtoDAsync(
                            new CUdeviceptr().withByteOffset(target),
                            new CUdeviceptr().withByteOffset(staged.address()),
                            staged.byteSize(),
                            stream.handle()),
                    "copying %d bytes".formatted(staged.byteSize()));
        }
    }

    /** Copies ints to the host and waits for them. */
    int[] download(long source, int count) {
        if (stream.isCapturing()) {
            throw new IllegalStateException("a copy between host and device cannot be recorded in a graph");
        }
        if (count == 0) {
            return new int[0];
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment staged = arena.allocate((long) count * Integer.BYTES, Integer.BYTES);
            context.enter();
            check(
                    JCudaDriver.cuMemcpyDtoHAsync(
                            new CUdeviceptr().withByteOffset(staged.address()),
                            new CUdeviceptr().withByteOffset(source),
                            staged.byteSize(),
                            stream.handle()),
                    "copying %d bytes".formatted(staged.byteSize()));
            stream.synchronize();
            return staged.toArray(java.lang.foreign.ValueLayout.JAVA_INT);
        }
    }

    /** Memory that is freed together, behind the kernels that are queued when it is. */
    final class DeviceScope implements Scope {

        private final List<DeviceBuffer> buffers = new ArrayList<>();

        private DeviceScope() {}

        @Override
        public Matrix allocate(ElementType type, long rows, long columns) {
            long bytes = Math.multiplyExact(Math.multiplyExact(rows, columns), (long) type.bytes());
            return new Matrix(MemorySegment.ofAddress(take(bytes).address()), type, 0, rows, columns, columns, space);
        }

        /** Takes bytes. */
        DeviceBuffer take(long bytes) {
            DeviceBuffer buffer = DeviceBuffer.allocate(context, stream, bytes);
            buffers.add(buffer);
            return buffer;
        }

        @Override
        public void close() {
            buffers.forEach(DeviceBuffer::close);
            buffers.clear();
        }
    }
}
