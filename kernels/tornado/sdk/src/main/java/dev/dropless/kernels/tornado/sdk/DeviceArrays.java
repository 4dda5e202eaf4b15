package dev.dropless.kernels.tornado.sdk;

import dev.dropless.kernels.tornado.engine.Engine;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;
import uk.ac.manchester.tornado.api.types.arrays.TornadoNativeArray;

/**
 * The arrays that all task graphs share: the two that stay on the device, the arguments of an invocation, and staging
 * memory in two sizes, since TornadoVM always copies a whole array.
 *
 * @param floats every matrix
 * @param ints every index array
 * @param words integral arguments
 * @param constants other arguments
 * @param smallFloats staging
 * @param largeFloats staging
 * @param smallInts staging
 * @param largeInts staging
 */
record DeviceArrays(
        FloatArray floats,
        IntArray ints,
        IntArray words,
        FloatArray constants,
        FloatArray smallFloats,
        FloatArray largeFloats,
        IntArray smallInts,
        IntArray largeInts) {

    static final int SMALL = 1 << 12;
    static final int LARGE = 1 << 20;

    static DeviceArrays allocate(int floats, int ints) {
        return new DeviceArrays(
                new FloatArray(floats),
                new IntArray(ints),
                new IntArray(Engine.WORDS),
                new FloatArray(Engine.CONSTANTS),
                new FloatArray(SMALL),
                new FloatArray(LARGE),
                new IntArray(SMALL),
                new IntArray(LARGE));
    }

    /** The same, but for the two that stay on the device, which become longer; their content is what the host's copy has. */
    DeviceArrays grown(int floatCount, int intCount) {
        FloatArray longerFloats = floats;
        if (floatCount > floats.getSize()) {
            longerFloats = new FloatArray(floatCount);
            MemorySegment.copy(elements(floats), 0, elements(longerFloats), 0, bytes(floats));
        }
        IntArray longerInts = ints;
        if (intCount > ints.getSize()) {
            longerInts = new IntArray(intCount);
            MemorySegment.copy(elements(ints), 0, elements(longerInts), 0, bytes(ints));
        }
        return new DeviceArrays(
                longerFloats, longerInts, words, constants, smallFloats, largeFloats, smallInts, largeInts);
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
