package dev.dropless.kernels.tornado;

import static dev.dropless.kernels.tornado.Arguments.base;
import static dev.dropless.kernels.tornado.Arguments.columns;
import static dev.dropless.kernels.tornado.Arguments.rowStride;
import static dev.dropless.kernels.tornado.Arguments.rows;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.MemorySpace;
import dev.dropless.blocksparse.spi.KernelMemory;
import dev.dropless.kernels.tornado.engine.Kernel;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * The device's arrays of floats and of 16-bit floats as memory of matrices. A matrix in them has a segment of size zero,
 * whose address is the number of bytes from the beginning of the array, those of 16-bit floats from {@link #HALVES} on; it
 * stays the same when the array grows.
 */
final class TornadoMemory implements KernelMemory {

    /** Where the addresses of 16-bit floats begin: behind the longest array of floats. */
    static final long HALVES = 1L << 34;

    private final Device device;
    private final MemorySpace space;

    TornadoMemory(Device device, int number) {
        this.device = device;
        this.space = new MemorySpace(TornadoBackend.NAME, number);
    }

    @Override
    public MemorySpace space() {
        return space;
    }

    /** Whether products of 16-bit floats can be computed as they are. */
    boolean hasTensorCores() {
        return device.hasTensorCores();
    }

    @Override
    public DeviceScope open() {
        return new DeviceScope();
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
        if (!target.space().isHost()) {
            if (source.space().isHost()) {
                upload(source, target);
            } else {
                copyOnDevice(source, target);
            }
        } else if (source.space().isHost()) {
            target.copyFrom(source);
        } else {
            download(source, target);
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

    private void upload(Matrix source, Matrix target) {
        int columns = columns(source);
        int elements = Math.multiplyExact(rows(source), columns);
        Matrix runs = source.rowStride() == columns ? asRow(source, elements) : source;
        ElementType type = target.type();
        Device.Source staged = (start, count, staging) -> stage(runs, type, start, count, staging);
        if (type == ElementType.F32) {
            device.write(staged, elements, columns, base(target), rowStride(target));
        } else {
            device.writeHalves(staged, elements, columns, base(target), rowStride(target));
        }
    }

    /** A matrix without gaps as one row. */
    static Matrix asRow(Matrix matrix, long elements) {
        return new Matrix(matrix.segment(), matrix.type(), matrix.offset(), 1, elements, elements, matrix.space());
    }

    /** Copies elements start.. of a matrix, counted row by row, one run of a row after the other. */
    private static void stage(Matrix source, ElementType type, int start, int count, MemorySegment staging) {
        int columns = columns(source);
        for (int done = 0; done < count; ) {
            int row = (start + done) / columns;
            int column = (start + done) % columns;
            int run = Math.min(columns - column, count - done);
            Matrix target = Matrix.of(staging.asSlice((long) done * type.bytes()), type, 1, run);
            target.copyFrom(source.slice(row, 1, column, run));
            done += run;
        }
    }

    private void download(Matrix source, Matrix target) {
        int count = (rows(source) - 1) * rowStride(source) + columns(source);
        Device.Target copy = found -> target.copyFrom(new Matrix(
                found, source.type(), 0, source.rows(), source.columns(), source.rowStride(), MemorySpace.HOST));
        if (source.type() == ElementType.F32) {
            device.read(base(source), count, copy);
        } else {
            device.readHalves(base(source), count, copy);
        }
    }

    private void copyOnDevice(Matrix source, Matrix target) {
        if (source.type() == ElementType.F32 || target.type() == ElementType.F32) {
            convert(source, target);
            return;
        }
        try (DeviceScope scratch = open()) {
            Matrix between = scratch.allocate(ElementType.F32, source.rows(), source.columns());
            convert(source, between);
            convert(between, target);
        }
    }

    /** Copies a matrix of the device to another one, at least one of which is F32. */
    void convert(Matrix source, Matrix target) {
        boolean widens = source.type() != ElementType.F32;
        boolean narrows = target.type() != ElementType.F32;
        ElementType type = widens ? source.type() : target.type();
        device.launch(
                widens ? Kernel.WIDEN : narrows ? Kernel.NARROW : Kernel.COPY,
                new Arguments()
                        .add(rows(target), columns(target))
                        .matrix(source)
                        .matrix(target)
                        .flag(type == ElementType.F16)
                        .specials(),
                columns(target),
                rows(target));
    }

    /** Matrices that are freed together. */
    final class DeviceScope implements Scope {

        private final List<Integer> floats = new ArrayList<>();
        private final List<Integer> halves = new ArrayList<>();

        private DeviceScope() {}

        @Override
        public Matrix allocate(ElementType type, long rows, long columns) {
            if (type == ElementType.F64) {
                throw new IllegalArgumentException(
                        "type: expected F32, BF16 or F16, found F64, which the TornadoVM kernels do not have");
            }
            long count = Math.multiplyExact(rows, columns);
            long address;
            if (type == ElementType.F32) {
                int offset = device.takeFloats(count);
                floats.add(offset);
                address = (long) offset * Float.BYTES;
            } else {
                int offset = device.takeHalves(count);
                halves.add(offset);
                address = HALVES + (long) offset * Short.BYTES;
            }
            return new Matrix(MemorySegment.ofAddress(address), type, 0, rows, columns, columns, space);
        }

        @Override
        public void close() {
            floats.forEach(device::giveFloats);
            floats.clear();
            halves.forEach(device::giveHalves);
            halves.clear();
        }
    }
}
