package dev.dropless.kernels.tornado.sdk;

import dev.dropless.kernels.tornado.engine.Engine;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.arrays.ShortArray;
import uk.ac.manchester.tornado.api.types.arrays.TornadoNativeArray;

/**
 * The arrays that all task graphs share: the three that stay on the device, the arguments of an invocation, and staging
 * memory in two sizes, since TornadoVM always copies a whole array.
 *
 * @param floats every matrix
 * @param ints every index array
 * @param halves the bits of every matrix of 16-bit floats
 * @param words integral arguments
 * @param constants other arguments
 * @param smallFloats staging
 * @param largeFloats staging
 * @param smallInts staging
 * @param largeInts staging
 * @param smallHalves staging
 * @param largeHalves staging
 */
record DeviceArrays(
        FloatArray floats,
        IntArray ints,
        ShortArray halves,
        IntArray words,
        FloatArray constants,
        FloatArray smallFloats,
        FloatArray largeFloats,
        IntArray smallInts,
        IntArray largeInts,
        ShortArray smallHalves,
        ShortArray largeHalves) {

    static final int SMALL = 1 << 12;
    static final int LARGE = 1 << 20;

    static DeviceArrays allocate(int floats, int ints, int halves) {
        return new DeviceArrays(
                new FloatArray(floats),
                new IntArray(ints),
                new ShortArray(halves),
                new IntArray(Engine.WORDS),
                new FloatArray(Engine.CONSTANTS),
                new FloatArray(SMALL),
                new FloatArray(LARGE),
                new IntArray(SMALL),
                new IntArray(LARGE),
                new ShortArray(SMALL),
                new ShortArray(LARGE));
    }

    /** The same, but for those that stay on the device, which become longer; their content is what the host's copy has. */
    DeviceArrays grown(int floatCount, int intCount, int halfCount) {
        return new DeviceArrays(
                floatCount > floats.getSize() ? copied(floats, new FloatArray(floatCount)) : floats,
                intCount > ints.getSize() ? copied(ints, new IntArray(intCount)) : ints,
                halfCount > halves.getSize() ? copied(halves, new ShortArray(halfCount)) : halves,
                words,
                constants,
                smallFloats,
                largeFloats,
                smallInts,
                largeInts,
                smallHalves,
                largeHalves);
    }

    private static <A extends TornadoNativeArray> A copied(A from, A to) {
        MemorySegment.copy(elements(from), 0, elements(to), 0, bytes(from));
        return to;
    }

    void setArguments(int[] newWords, float[] newConstants) {
        MemorySegment.copy(newWords, 0, elements(words), ValueLayout.JAVA_INT, 0, newWords.length);
        MemorySegment.copy(newConstants, 0, elements(constants), ValueLayout.JAVA_FLOAT, 0, newConstants.length);
    }

    /** An array's elements on the host, without TornadoVM's header. */
    static MemorySegment elements(TornadoNativeArray array) {
        return array.getSegmentWithHeader().asSlice(TornadoNativeArray.ARRAY_HEADER, bytes(array));
    }

    private static long bytes(TornadoNativeArray array) {
        return (long) array.getSize() * array.getElementSize();
    }
}
