package uk.ac.manchester.tornado.api.types.arrays;

/** Stands in for TornadoVM's class of that name where there is no SDK; as much of it as the kernels use. */
public final class FloatArray {

    private final float[] values;

    public FloatArray(int size) {
        this.values = new float[size];
    }

    public float get(int index) {
        return values[index];
    }

    public void set(int index, float value) {
        values[index] = value;
    }

    public float[] values() {
        return values;
    }
}
