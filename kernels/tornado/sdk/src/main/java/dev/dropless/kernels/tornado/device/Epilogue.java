package dev.dropless.kernels.tornado.device;

import static dev.dropless.kernels.tornado.engine.Tables.BIAS;
import static dev.dropless.kernels.tornado.engine.Tables.FIRST_ROW;
import static dev.dropless.kernels.tornado.engine.Tables.NONE;
import static dev.dropless.kernels.tornado.engine.Tables.ROW_SCALE;

import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/** What happens to the sums of the up-projection. */
final class Epilogue {

    private Epilogue() {}

    /** Scales the sums of row i of group g, adds biases, and stores pre-activations (where wanted) and activation. */
    static void store(
            IntArray words,
            FloatArray constants,
            IntArray ints,
            FloatArray floats,
            int g,
            int i,
            int j,
            float gateSum,
            float upSum) {
        int other = words.get(6);
        int scaleAt = ints.get(g + ROW_SCALE);
        int biasAt = ints.get(g + BIAS);
        float scale = scaleAt == NONE ? 1 : floats.get(scaleAt + i);
        float gate = scale * gateSum + (biasAt == NONE ? 0 : floats.get(biasAt + j));
        float up = scale * upSum + (biasAt == NONE ? 0 : floats.get(biasAt + other + j));
        int row = ints.get(g + FIRST_ROW) + i;
        if (words.get(7) != NONE) {
            int pre = words.get(7) + row * words.get(8) + j;
            floats.set(pre, gate);
            if (other != 0) {
                floats.set(pre + other, up);
            }
        }
        float hidden = DeviceMath.value(words.get(11), constants.get(0), DeviceMath.min(gate, constants.get(1)));
        hidden = other == 0 ? hidden : hidden * DeviceMath.clamped(up, constants.get(2), constants.get(3));
        floats.set(words.get(9) + row * words.get(10) + j, hidden);
    }
}
