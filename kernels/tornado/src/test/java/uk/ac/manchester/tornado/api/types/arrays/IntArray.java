package uk.ac.manchester.tornado.api.types.arrays;

/** Stands in for TornadoVM's class of that name where there is no SDK; as much of it as the kernels use. */
public final class IntArray {

    private final int[] values;

    public IntArray(int size) {
        this.values = new int[size];
    }

    public int get(int index) {
        return values[index];
    }

    public void set(int index, int value) {
        values[index] = value;
    }

    public int[] values() {
        return values;
    }
}
