package dev.dropless.blocksparse;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;

/**
 * A dense row-major matrix: a view of memory that its creator owns. Nothing is copied, and the view is valid as long as
 * the memory is.
 *
 * <p>Element (i, j) lies {@code (offset + i * rowStride + j) * type.bytes()} bytes after the beginning of the segment.
 * Heap arrays, native memory
 * and mapped files are equally good segments; a matrix in a device's memory holds the device address as a segment of
 * size zero, so that touching it
 * from Java fails instead of crashing.
 *
 * @param segment the memory
 * @param type how an element is stored
 * @param offset index of element (0, 0), in elements
 * @param rows number of rows, 0 or more
 * @param columns number of columns, 0 or more
 * @param rowStride elements from one row to the next, at least {@code columns} where there are two rows or more
 * @param space which memory this is
 */
public record Matrix(
        MemorySegment segment,
        ElementType type,
        long offset,
        long rows,
        long columns,
        long rowStride,
        MemorySpace space) {

    /** Byte alignment of the native memory that {@link #allocate} takes: a cache line, and the widest vector. */
    public static final long ALIGNMENT = 64;

    /**
     * Checks that the matrix lies inside its segment.
     *
     * @throws IllegalArgumentException if a size is negative, rows overlap, or the last element lies outside the
     * segment
     */
    public Matrix {
        if (rows < 0 || columns < 0 || offset < 0) {
            throw new IllegalArgumentException(
                    "matrix: expected offset, rows and columns of at least 0, found offset %d, %d x %d"
                            .formatted(offset, rows, columns));
        }
        if (rows > 1 && rowStride < columns) {
            throw new IllegalArgumentException(
                    "rowStride: expected at least columns = %d, found %d".formatted(columns, rowStride));
        }
        if (space.isHost() && rows > 0 && columns > 0) {
            long capacity = segment.byteSize() / type.bytes();
            long end = lastElement(offset, rows, columns, rowStride);
            if (end < 0 || end > capacity) {
                throw new IllegalArgumentException(
                        "segment: expected at least %s elements of %s for a %d x %d matrix, found %d"
                                .formatted(end < 0 ? "2^63" : Long.toString(end), type, rows, columns, capacity));
            }
        }
    }

    /** One past the last element, or -1 where that overflows. */
    private static long lastElement(long offset, long rows, long columns, long rowStride) {
        try {
            return Math.addExact(Math.addExact(offset, Math.multiplyExact(rows - 1, rowStride)), columns);
        } catch (ArithmeticException e) {
            return -1;
        }
    }

    /**
     * A dense matrix in memory of an allocator, aligned to {@link #ALIGNMENT}. Its content is what the allocator gives: zeros, from an
     * {@link java.lang.foreign.Arena}.
     *
     * @param allocator where the memory comes from
     * @param type element type
     * @param rows rows
     * @param columns columns; also the row stride
     * @return the matrix
     * @throws IllegalArgumentException if a size is negative, or the number of bytes is 2^63 or more
     */
    public static Matrix allocate(SegmentAllocator allocator, ElementType type, long rows, long columns) {
        if (rows < 0 || columns < 0 || (columns > 0 && rows > Long.MAX_VALUE / type.bytes() / columns)) {
            throw new IllegalArgumentException(
                    "rows: expected rows and columns of at least 0, below 2^63 bytes in all, found %d x %d %s"
                            .formatted(rows, columns, type));
        }
        long bytes = rows * columns * type.bytes();
        return new Matrix(allocator.allocate(bytes, ALIGNMENT), type, 0, rows, columns, columns, MemorySpace.HOST);
    }

    /**
     * A dense matrix over a whole segment of host memory.
     *
     * @param segment the memory
     * @param type element type
     * @param rows rows
     * @param columns columns; also the row stride
     * @return the matrix
     * @throws IllegalArgumentException if the segment is too small
     */
    public static Matrix of(MemorySegment segment, ElementType type, long rows, long columns) {
        return new Matrix(segment, type, 0, rows, columns, columns, MemorySpace.HOST);
    }

    /**
     * A view of a float array.
     *
     * @param values row-major elements
     * @param rows rows
     * @param columns columns
     * @return the matrix, of type F32
     * @throws IllegalArgumentException if the array is too short
     */
    public static Matrix of(float[] values, long rows, long columns) {
        return of(MemorySegment.ofArray(values), ElementType.F32, rows, columns);
    }

    /**
     * A view of a double array.
     *
     * @param values row-major elements
     * @param rows rows
     * @param columns columns
     * @return the matrix, of type F64
     * @throws IllegalArgumentException if the array is too short
     */
    public static Matrix of(double[] values, long rows, long columns) {
        return of(MemorySegment.ofArray(values), ElementType.F64, rows, columns);
    }

    /**
     * Returns where element (row, column) lies, unchecked.
     *
     * @param row row
     * @param column column
     * @return offset from the beginning of the segment, in elements
     */
    public long index(long row, long column) {
        return offset + row * rowStride + column;
    }

    /**
     * Reads an element.
     *
     * @param row row
     * @param column column
     * @return its value, exact
     */
    public double get(long row, long column) {
        return type.get(segment, index(row, column) * type.bytes());
    }

    /**
     * Writes an element, rounded to {@link #type}.
     *
     * @param row row
     * @param column column
     * @param value what to store
     */
    public void set(long row, long column, double value) {
        type.set(segment, index(row, column) * type.bytes(), value);
    }

    /**
     * Reads a row.
     *
     * @param row row
     * @param target receives the {@link #columns} elements, exact
     */
    public void getRow(long row, double[] target) {
        int n = (int) columns;
        long start = index(row, 0) * type.bytes();
        switch (type) {
            case F64 -> MemorySegment.copy(segment, ElementType.DOUBLE, start, target, 0, n);
            case F32 -> {
                for (int j = 0; j < n; j++) {
                    target[j] = segment.get(ElementType.FLOAT, start + 4L * j);
                }
            }
            case BF16, F16 -> {
                for (int j = 0; j < n; j++) {
                    target[j] = type.get(segment, start + 2L * j);
                }
            }
        }
    }

    /**
     * Writes a row, each element rounded to {@link #type}.
     *
     * @param row row
     * @param source {@link #columns} elements
     */
    public void setRow(long row, double[] source) {
        int n = (int) columns;
        long start = index(row, 0) * type.bytes();
        switch (type) {
            case F64 -> MemorySegment.copy(source, 0, segment, ElementType.DOUBLE, start, n);
            case F32 -> {
                for (int j = 0; j < n; j++) {
                    segment.set(ElementType.FLOAT, start + 4L * j, (float) source[j]);
                }
            }
            case BF16, F16 -> {
                for (int j = 0; j < n; j++) {
                    type.set(segment, start + 2L * j, source[j]);
                }
            }
        }
    }

    /**
     * A view of consecutive rows.
     *
     * @param first first row
     * @param count number of rows
     * @return the view
     * @throws IllegalArgumentException if the rows are not inside this matrix
     */
    public Matrix sliceRows(long first, long count) {
        return slice(first, count, 0, columns);
    }

    /**
     * A view of consecutive columns.
     *
     * @param first first column
     * @param count number of columns
     * @return the view
     * @throws IllegalArgumentException if the columns are not inside this matrix
     */
    public Matrix sliceColumns(long first, long count) {
        return slice(0, rows, first, count);
    }

    /**
     * A view of a rectangle.
     *
     * @param firstRow first row
     * @param rowCount number of rows
     * @param firstColumn first column
     * @param columnCount number of columns
     * @return the view
     * @throws IllegalArgumentException if the rectangle is not inside this matrix
     */
    public Matrix slice(long firstRow, long rowCount, long firstColumn, long columnCount) {
        if (firstRow < 0 || rowCount < 0 || firstRow > rows - rowCount) {
            throw new IllegalArgumentException(
                    "rows: expected inside 0..%d, found %d rows from %d".formatted(rows, rowCount, firstRow));
        }
        if (firstColumn < 0 || columnCount < 0 || firstColumn > columns - columnCount) {
            throw new IllegalArgumentException("columns: expected inside 0..%d, found %d columns from %d"
                    .formatted(columns, columnCount, firstColumn));
        }
        return new Matrix(segment, type, index(firstRow, firstColumn), rowCount, columnCount, rowStride, space);
    }

    /**
     * Tells whether two matrices share an element, as far as that is certain: both are plain runs of memory, or rows of
     * both are equally far apart.
     *
     * @param other a matrix
     * @return true if they share memory; false if not, or if that cannot be told from their shapes (different strides,
     * read-only heap segments)
     */
    public boolean overlaps(Matrix other) {
        if (!space.equals(other.space)
                || !segment.heapBase().equals(other.segment.heapBase())
                || isEmpty()
                || other.isEmpty()
                || segment.isReadOnly() && !segment.isNative()
                || other.firstByte() >= endByte()
                || firstByte() >= other.endByte()) {
            return false;
        }
        if (isRun() && other.isRun()) {
            return true;
        }
        long stride = (rows == 1 ? other.strideBytes() : strideBytes());
        long width = columns * type.bytes();
        long otherWidth = other.columns * other.type.bytes();
        if ((other.rows > 1 && other.strideBytes() != stride) || width > stride || otherWidth > stride) {
            return false;
        }
        // In rows of one stride, the other matrix begins `down` rows below and `right` bytes after this one, and may
        // reach into the next row.
        long down = Math.floorDiv(other.firstByte() - firstByte(), stride);
        long right = Math.floorMod(other.firstByte() - firstByte(), stride);
        boolean here = right < width && down < rows && down + other.rows > 0;
        boolean next = right + otherWidth > stride && down + 1 < rows && down + 1 + other.rows > 0;
        return here || next;
    }

    private boolean isEmpty() {
        return rows == 0 || columns == 0;
    }

    private boolean isRun() {
        return rows == 1 || rowStride == columns;
    }

    private long strideBytes() {
        return rowStride * type.bytes();
    }

    private long firstByte() {
        return segment.address() + offset * type.bytes();
    }

    private long endByte() {
        return firstByte() + (rows - 1) * strideBytes() + columns * type.bytes();
    }

    /**
     * Sets every element to one value; elements between rows are left alone.
     *
     * @param value what to store
     */
    public void fill(double value) {
        for (long i = 0; i < rows; i++) {
            for (long j = 0; j < columns; j++) {
                set(i, j, value);
            }
        }
    }

    /**
     * Copies the elements of a matrix of the same shape, converting the type.
     *
     * @param source what to copy
     * @throws IllegalArgumentException if the shapes differ
     */
    public void copyFrom(Matrix source) {
        if (source.rows != rows || source.columns != columns) {
            throw new IllegalArgumentException(
                    "source: expected %d x %d, found %d x %d".formatted(rows, columns, source.rows, source.columns));
        }
        for (long i = 0; i < rows; i++) {
            if (source.type == type) {
                int bytes = type.bytes();
                MemorySegment.copy(
                        source.segment, source.index(i, 0) * bytes, segment, index(i, 0) * bytes, columns * bytes);
            } else {
                for (long j = 0; j < columns; j++) {
                    set(i, j, source.get(i, j));
                }
            }
        }
    }

    /**
     * Returns the elements as a new array.
     *
     * @return [rows * columns] row-major
     */
    public double[] toDoubles() {
        double[] values = new double[Math.toIntExact(Math.multiplyExact(rows, columns))];
        int next = 0;
        for (long i = 0; i < rows; i++) {
            for (long j = 0; j < columns; j++) {
                values[next++] = get(i, j);
            }
        }
        return values;
    }

    /**
     * Names type and shape, for messages.
     *
     * @return for instance "F32 [3, 5]"
     */
    public String describe() {
        return "%s [%d, %d]".formatted(type, rows, columns);
    }
}
