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
 * The device's array of floats as memory of matrices. A matrix in it has a segment of size zero, whose address is the number
 * of bytes from the beginning of the array; it stays the same when the array grows.
 */
final class TornadoMemory implements KernelMemory {

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

    @Override
    public FloatScope open() {
        return new FloatScope();
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
        device.write(
                (start, count, staging) -> stage(runs, start, count, staging),
                elements,
                columns,
                base(target),
                rowStride(target));
    }

    /** A matrix without gaps as one row. */
    static Matrix asRow(Matrix matrix, long elements) {
        return new Matrix(matrix.segment(), matrix.type(), matrix.offset(), 1, elements, elements, matrix.space());
    }

    /** Copies elements start.. of a matrix, counted row by row, one run of a row after the other. */
    private static void stage(Matrix source, int start, int count, MemorySegment staging) {
        int columns = columns(source);
        for (int done = 0; done < count; ) {
            int row = (start + done) / columns;
            int column = (start + done) % columns;
            int run = Math.min(columns - column, count - done);
            Matrix target = Matrix.of(staging.asSlice((long) done * Float.BYTES), ElementType.F32, 1, run);
            target.copyFrom(source.slice(row, 1, column, run));
            done += run;
        }
    }

    private void download(Matrix source, Matrix target) {
        int count = (rows(source) - 1) * rowStride(source) + columns(source);
        device.read(
                base(source),
                count,
                found -> target.copyFrom(new Matrix(
                        found,
                        ElementType.F32,
                        0,
                        source.rows(),
                        source.columns(),
                        source.rowStride(),
                        MemorySpace.HOST)));
    }

    private void copyOnDevice(Matrix source, Matrix target) {
        device.launch(
                Kernel.COPY,
                new Arguments()
                        .add(rows(target), columns(target))
                        .matrix(source)
                        .matrix(target),
                columns(target),
                rows(target));
    }

    /** Matrices that are freed together. */
    final class FloatScope implements Scope {

        private final List<Integer> taken = new ArrayList<>();

        private FloatScope() {}

        @Override
        public Matrix allocate(ElementType type, long rows, long columns) {
            if (type != ElementType.F32) {
                throw new IllegalArgumentException(
                        "type: expected F32, the one that the TornadoVM kernels compute with, found " + type);
            }
            int offset = device.takeFloats(Math.multiplyExact(rows, columns));
            taken.add(offset);
            MemorySegment address = MemorySegment.ofAddress((long) offset * Float.BYTES);
            return new Matrix(address, ElementType.F32, 0, rows, columns, columns, space);
        }

        @Override
        public void close() {
            taken.forEach(device::giveFloats);
            taken.clear();
        }
    }
}
