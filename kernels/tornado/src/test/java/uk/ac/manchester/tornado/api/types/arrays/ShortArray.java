package uk.ac.manchester.tornado.api.types.arrays;

/** Stands in for TornadoVM's class of that name where there is no SDK; as much of it as the kernels use. */
public final class ShortArray {

    private final short[] values;

    public ShortArray(int size) {
        this.values = new short[size];
    }

    public short get(int index) {
        return values[index];
    }

    public void set(int index, short value) {
        values[index] = value;
    }

    public short[] values() {
        return values;
    }
}
