package dev.dropless.kernels.tornado.device;

import static dev.dropless.kernels.tornado.engine.Tables.NONE;

import dev.dropless.kernels.tornado.engine.RouterWords;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * What a router computes for one token and one choice, in double precision. Rules are numbered as {@code RoutingRule}
 * orders its constants; where arguments lie, {@link RouterWords} says.
 */
final class RouterMath {

    static final int SOFTMAX = 0;
    static final int SIGMOID = 1;
    static final int BY_LOGITS = 1;
    static final int BY_SCORE_PLUS_BIAS = 2;
    static final int OF_SCORE = 0;
    static final int SOFTMAX_OF_SELECTED = 1;
    static final int SIGMOID_OF_SELECTED = 2;
    static final int EVEN = 3;

    private RouterMath() {}

    /** A number that came as the sum of two floats. */
    static double number(FloatArray constants, int which) {
        double high = constants.get(2 * which);
        double low = constants.get(2 * which + 1);
        return high + low;
    }

    static double magnitude(double x) {
        return x < 0 ? -x : x;
    }

    /** 1 / (1 + e^-x) without overflow. */
    static double sigmoid(double x) {
        double e = TornadoMath.exp(-magnitude(x));
        return (x >= 0 ? 1 : e) / (1 + e);
    }

    /** ln(1 + e^x): ln(1 + u) = u ln(w) / (w - 1) with w = 1 + u rounded (Goldberg, theorem 4). */
    static double softplus(double x) {
        double u = TornadoMath.exp(-magnitude(x));
        double w = 1 + u;
        double small = w == 1 ? u : u * TornadoMath.log(w) / (w - 1);
        return x > 0 ? x + small : small;
    }

    /** The square root; TornadoVM's own is that of single precision. One Newton step takes back what the logarithm lost. */
    static double root(double x) {
        double result = x;
        if (x > 0) {
            double s = TornadoMath.exp(0.5 * TornadoMath.log(x));
            result = 0.5 * (s + x / s);
        }
        return result;
    }

    /** The logit with its bias, softly capped. */
    static double gate(IntArray words, FloatArray constants, FloatArray floats, int t, int e) {
        double z = floats.get(words.get(RouterWords.LOGITS) + t * words.get(RouterWords.LOGITS_ROW) + e);
        if (words.get(RouterWords.BIAS) != NONE) {
            double bias = floats.get(words.get(RouterWords.BIAS) + e);
            z = z + bias;
        }
        double cap = number(constants, RouterWords.SOFT_CAP);
        if (cap > 0) {
            z = cap * TornadoMath.tanh(z / cap);
        }
        return z;
    }

    /** The larger one; a number rather than NaN, which alone differs from itself. */
    @SuppressWarnings("IdentityBinaryExpression")
    static double larger(double a, double b) {
        double result = a > b ? a : b;
        return b != b ? a : result;
    }

    /** The largest gate of a token. */
    static double largestGate(IntArray words, FloatArray constants, FloatArray floats, int t) {
        double most = gate(words, constants, floats, t, 0);
        for (int e = 1; e < words.get(RouterWords.CHOICES); e++) {
            most = larger(gate(words, constants, floats, t, e), most);
        }
        return most;
    }

    /** The sum of exp(gate - most) over a token's choices; 1 where scores are no softmax. */
    static double softmaxSum(IntArray words, FloatArray constants, FloatArray floats, int t, double most) {
        double sum = 1;
        if (words.get(RouterWords.SCORE) == SOFTMAX) {
            sum = 0;
            for (int e = 0; e < words.get(RouterWords.CHOICES); e++) {
                sum += TornadoMath.exp(gate(words, constants, floats, t, e) - most);
            }
        }
        return sum;
    }

    /** From a gate to its score. */
    static double score(IntArray words, double g, double most, double sum) {
        double result;
        if (words.get(RouterWords.SCORE) == SOFTMAX) {
            result = TornadoMath.exp(g - most) / sum;
        } else if (words.get(RouterWords.SCORE) == SIGMOID) {
            result = sigmoid(g);
        } else {
            result = root(softplus(g));
        }
        return result;
    }

    /** What choices are compared by. */
    static double value(
            IntArray words, FloatArray constants, FloatArray floats, int t, int e, double most, double sum) {
        double g = gate(words, constants, floats, t, e);
        double result = g;
        if (words.get(RouterWords.BY) != BY_LOGITS) {
            result = score(words, g, most, sum);
        }
        if (words.get(RouterWords.BY) == BY_SCORE_PLUS_BIAS) {
            double bias = floats.get(words.get(RouterWords.SELECTION) + e);
            result = result + bias;
        }
        return result;
    }

    /**
     * 1 if value a of choice i comes before value b of choice j, else 0: the larger one, any number before NaN, then the
     * lower id. By sums and products of single comparisons, since TornadoVM's OpenCL compiler drops the negations where
     * comparisons are combined.
     */
    @SuppressWarnings("IdentityBinaryExpression") // that is how kernels ask for NaN
    static int precedes(double a, int i, double b, int j) {
        int greater = a > b ? 1 : 0;
        int equal = a == b ? 1 : 0;
        int lower = i < j ? 1 : 0;
        int number = a == a ? 1 : 0;
        int againstNan = b == b ? 0 : 1;
        return greater + equal * lower + againstNan * (number + (1 - number) * lower);
    }

    /** What the weight of a selected choice is made of. */
    static double raw(IntArray words, double g, double most, double sum, double selectedMost, double selectedSum) {
        double result;
        if (words.get(RouterWords.SOURCE) == OF_SCORE) {
            result = score(words, g, most, sum);
        } else if (words.get(RouterWords.SOURCE) == SOFTMAX_OF_SELECTED) {
            result = TornadoMath.exp(g - selectedMost) / selectedSum;
        } else if (words.get(RouterWords.SOURCE) == SIGMOID_OF_SELECTED) {
            result = sigmoid(g);
        } else {
            result = 1.0 / words.get(RouterWords.TOP_K);
        }
        return result;
    }
}
