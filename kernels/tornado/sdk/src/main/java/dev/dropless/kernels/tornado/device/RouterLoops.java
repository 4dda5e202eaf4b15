package dev.dropless.kernels.tornado.device;

import static dev.dropless.kernels.tornado.engine.Tables.NONE;

import dev.dropless.kernels.tornado.engine.RouterWords;
import uk.ac.manchester.tornado.api.annotations.Parallel;
import uk.ac.manchester.tornado.api.math.TornadoMath;
import uk.ac.manchester.tornado.api.types.arrays.FloatArray;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * The router: from logits to each token's choices and their weights, and back. {@link RouterWords} names the arguments of
 * the first three, {@code RoutingRule} says what they compute. Everything between loads and stores is in double precision.
 */
public final class RouterLoops {

    private RouterLoops() {}

    /** Best or second best value of a group that a token may choose from; NaN is passed over. */
    private static double groupValue(
            IntArray words, FloatArray constants, FloatArray floats, int t, int group, double most, double sum) {
        int size = words.get(RouterWords.CHOICES) / words.get(RouterWords.GROUPS);
        double first = Double.NEGATIVE_INFINITY;
        double second = Double.NEGATIVE_INFINITY;
        for (int n = 0; n < size; n++) {
            double v = RouterMath.value(words, constants, floats, t, group * size + n, most, sum);
            double lesser = v > first ? first : v;
            second = lesser > second ? lesser : second;
            first = v > first ? v : first;
        }
        return words.get(RouterWords.SUM_OF_TWO) == 1 ? first + second : first;
    }

    /**
     * Flags the groups that each token may choose from: those that fewer than {@code STAY} others precede.
     *
     * @param words see {@link RouterWords}
     * @param constants see {@link RouterWords}
     * @param ints receives the flags
     * @param floats the logits
     */
    public static void limitGroups(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int t = 0; t < words.get(RouterWords.TOKENS); t++) {
            for (@Parallel int group = 0; group < words.get(RouterWords.GROUPS); group++) {
                double most = RouterMath.largestGate(words, constants, floats, t);
                double sum = RouterMath.softmaxSum(words, constants, floats, t, most);
                double own = groupValue(words, constants, floats, t, group, most, sum);
                int better = 0;
                for (int other = 0; other < words.get(RouterWords.GROUPS); other++) {
                    double value = groupValue(words, constants, floats, t, other, most, sum);
                    better += RouterMath.precedes(value, other, own, group);
                }
                int flag = better < words.get(RouterWords.STAY) ? 1 : 0;
                ints.set(words.get(RouterWords.KEPT) + t * words.get(RouterWords.GROUPS) + group, flag);
            }
        }
    }

    private static int kept(IntArray words, IntArray ints, int t, int e) {
        int flag = 1;
        if (words.get(RouterWords.KEPT) != NONE) {
            int groups = words.get(RouterWords.GROUPS);
            int group = e / (words.get(RouterWords.CHOICES) / groups);
            flag = ints.get(words.get(RouterWords.KEPT) + t * groups + group);
        }
        return flag;
    }

    /**
     * Chooses for every token, one after the other from the best value down, and weighs.
     *
     * @param words see {@link RouterWords}
     * @param constants see {@link RouterWords}
     * @param ints flags of groups; receives choices and experts
     * @param floats the logits; receives the weights
     */
    public static void route(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int t = 0; t < words.get(RouterWords.TOKENS); t++) {
            double most = RouterMath.largestGate(words, constants, floats, t);
            double sum = RouterMath.softmaxSum(words, constants, floats, t, most);
            int first = t * words.get(RouterWords.TOP_K);
            int last = -1;
            double lastValue = 0;
            for (int j = 0; j < words.get(RouterWords.TOP_K); j++) {
                int best = -1;
                double bestValue = 0;
                for (int e = 0; e < words.get(RouterWords.CHOICES); e++) {
                    double v = RouterMath.value(words, constants, floats, t, e, most, sum);
                    int left = last < 0 ? 1 : RouterMath.precedes(lastValue, last, v, e);
                    int better = best < 0 ? 1 : RouterMath.precedes(v, e, bestValue, best);
                    if (left * better * kept(words, ints, t, e) == 1) {
                        best = e;
                        bestValue = v;
                    }
                }
                ints.set(words.get(RouterWords.IDS) + first + j, best);
                int expert = best < words.get(RouterWords.NUM_EXPERTS) ? best : -1;
                ints.set(words.get(RouterWords.EXPERTS) + first + j, expert);
                last = best;
                lastValue = bestValue;
            }
            double selectedMost = selectedMost(words, constants, ints, floats, first, t);
            double selectedSum = selectedSum(words, constants, ints, floats, first, t, selectedMost);
            double norm = norm(words, constants, ints, floats, first, t, most, sum, selectedMost, selectedSum);
            double divisor = divisor(words, constants, norm);
            for (int j = 0; j < words.get(RouterWords.TOP_K); j++) {
                double g = gateOf(words, constants, ints, floats, first + j, t);
                double raw = RouterMath.raw(words, g, most, sum, selectedMost, selectedSum);
                double weight = RouterMath.number(constants, RouterWords.SCALE) * (raw / divisor);
                floats.set(words.get(RouterWords.WEIGHTS) + first + j, (float) weight);
            }
        }
    }

    /** Gate of a slot's choice. */
    private static double gateOf(
            IntArray words, FloatArray constants, IntArray ints, FloatArray floats, int slot, int t) {
        return RouterMath.gate(words, constants, floats, t, ints.get(words.get(RouterWords.IDS) + slot));
    }

    /** The largest gate of a token's choices. */
    private static double selectedMost(
            IntArray words, FloatArray constants, IntArray ints, FloatArray floats, int first, int t) {
        double most = gateOf(words, constants, ints, floats, first, t);
        for (int j = 1; j < words.get(RouterWords.TOP_K); j++) {
            most = RouterMath.larger(gateOf(words, constants, ints, floats, first + j, t), most);
        }
        return most;
    }

    private static double selectedSum(
            IntArray words, FloatArray constants, IntArray ints, FloatArray floats, int first, int t, double most) {
        double sum = 0;
        for (int j = 0; j < words.get(RouterWords.TOP_K); j++) {
            sum += TornadoMath.exp(gateOf(words, constants, ints, floats, first + j, t) - most);
        }
        return sum;
    }

    /** Norm of what a token's weights are made of. */
    private static double norm(
            IntArray words,
            FloatArray constants,
            IntArray ints,
            FloatArray floats,
            int first,
            int t,
            double most,
            double sum,
            double selectedMost,
            double selectedSum) {
        int order = words.get(RouterWords.NORM);
        double total = 0;
        for (int j = 0; j < words.get(RouterWords.TOP_K); j++) {
            double g = gateOf(words, constants, ints, floats, first + j, t);
            double raw = RouterMath.raw(words, g, most, sum, selectedMost, selectedSum);
            total += order == 2 ? raw * raw : RouterMath.magnitude(raw);
        }
        return order == 2 ? RouterMath.root(total) : total;
    }

    private static double divisor(IntArray words, FloatArray constants, double norm) {
        double result = 1;
        if (words.get(RouterWords.NORM) != 0) {
            double d = norm + RouterMath.number(constants, RouterWords.EPSILON);
            double floor = RouterMath.number(constants, RouterWords.FLOOR);
            result = d < floor ? floor : d;
        }
        return result;
    }

    /** The gradient of a slot's weight, scaled and divided as the weight is. */
    private static double weightGradient(
            IntArray words, FloatArray constants, FloatArray floats, int t, int j, double divisor) {
        double d = floats.get(words.get(RouterWords.D_WEIGHTS) + t * words.get(RouterWords.D_WEIGHTS_ROW) + j);
        if (words.get(RouterWords.MORE) != NONE) {
            double more = floats.get(words.get(RouterWords.MORE) + t * words.get(RouterWords.MORE_ROW) + j);
            d = d + more;
        }
        return RouterMath.number(constants, RouterWords.SCALE) * d / divisor;
    }

    /** The gradient of what a slot's weight is made of: its own, and its share of the norm's. */
    private static double rawGradient(IntArray words, double own, double raw, double norm, double ofNorm) {
        double sign = raw > 0 ? 1 : raw < 0 ? -1 : 0;
        double slope = words.get(RouterWords.NORM) == 2 ? (raw == 0 ? 0 : raw / norm) : sign;
        return ofNorm == 0 ? own : own + ofNorm * slope;
    }

    /**
     * Takes the gradient of the weights back to the logits; nothing flows through the selection.
     *
     * @param words see {@link RouterWords}
     * @param constants see {@link RouterWords}
     * @param ints the choices
     * @param floats the logits and the gradients
     */
    public static void gradient(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int t = 0; t < words.get(RouterWords.TOKENS); t++) {
            double most = RouterMath.largestGate(words, constants, floats, t);
            double sum = RouterMath.softmaxSum(words, constants, floats, t, most);
            int topK = words.get(RouterWords.TOP_K);
            int first = t * topK;
            double selectedMost = selectedMost(words, constants, ints, floats, first, t);
            double selectedSum = selectedSum(words, constants, ints, floats, first, t, selectedMost);
            double norm = norm(words, constants, ints, floats, first, t, most, sum, selectedMost, selectedSum);
            double divisor = divisor(words, constants, norm);
            double epsilon = RouterMath.number(constants, RouterWords.EPSILON);
            int aboveFloor = norm + epsilon >= RouterMath.number(constants, RouterWords.FLOOR) ? 1 : 0;
            int divided = words.get(RouterWords.NORM) * aboveFloor;
            double ofNorm = 0;
            for (int j = 0; j < topK; j++) {
                double g = gateOf(words, constants, ints, floats, first + j, t);
                double raw = RouterMath.raw(words, g, most, sum, selectedMost, selectedSum);
                double part = weightGradient(words, constants, floats, t, j, divisor) * (raw / divisor);
                ofNorm = divided > 0 ? ofNorm - part : 0;
            }
            // Both softmaxes subtract the mean of the gradient under their own weights.
            double mean = 0;
            for (int j = 0; j < topK; j++) {
                double g = gateOf(words, constants, ints, floats, first + j, t);
                double raw = RouterMath.raw(words, g, most, sum, selectedMost, selectedSum);
                double own = weightGradient(words, constants, floats, t, j, divisor);
                mean += raw * rawGradient(words, own, raw, norm, ofNorm);
            }
            for (int e = 0; e < words.get(RouterWords.CHOICES); e++) {
                double g = RouterMath.gate(words, constants, floats, t, e);
                double raw = RouterMath.raw(words, g, most, sum, selectedMost, selectedSum);
                double d = 0;
                int selected = 0;
                for (int j = 0; j < topK; j++) {
                    if (ints.get(words.get(RouterWords.IDS) + first + j) == e) {
                        double own = weightGradient(words, constants, floats, t, j, divisor);
                        d = rawGradient(words, own, raw, norm, ofNorm);
                        selected = 1;
                    }
                }
                double cap = RouterMath.number(constants, RouterWords.SOFT_CAP);
                double capped = cap > 0 ? 1 - g / cap * (g / cap) : 1;
                double result = capped * gateGradient(words, g, raw, d, mean, selected);
                int at = words.get(RouterWords.D_LOGITS) + t * words.get(RouterWords.D_LOGITS_ROW) + e;
                double before = floats.get(at);
                floats.set(at, (float) (words.get(RouterWords.ACCUMULATE) == 1 ? before + result : result));
            }
        }
    }

    /** From the gradient of a raw weight to that of its gate. */
    private static double gateGradient(IntArray words, double g, double raw, double d, double mean, int selected) {
        int source = words.get(RouterWords.SOURCE);
        int score = words.get(RouterWords.SCORE);
        double result = 0;
        if (source == RouterMath.SOFTMAX_OF_SELECTED) {
            result = selected == 1 ? raw * (d - mean) : 0;
        } else if (source == RouterMath.SIGMOID_OF_SELECTED) {
            result = d * raw * RouterMath.sigmoid(-g);
        } else if (source == RouterMath.OF_SCORE) {
            if (score == RouterMath.SOFTMAX) {
                result = raw * (d - mean);
            } else if (score == RouterMath.SIGMOID) {
                result = d * raw * RouterMath.sigmoid(-g);
            } else {
                result = raw == 0 ? 0 : d * RouterMath.sigmoid(g) / (2 * raw);
            }
        }
        return result;
    }

    /** Factor of a token's row that its identity experts add up to. */
    private static float identityWeight(IntArray words, IntArray ints, FloatArray floats, int t) {
        float weight = 0;
        for (int j = 0; j < words.get(2); j++) {
            int slot = t * words.get(2) + j;
            weight += ints.get(words.get(3) + slot) >= words.get(4) ? floats.get(words.get(5) + slot) : 0;
        }
        return weight;
    }

    /**
     * y[t] += factor (sum of the weights of t's identity slots) x[t].
     *
     * @param words tokens, columns, topK, where the choices begin, first identity expert, base of the weights, base and
     *     row stride of x and of y
     * @param constants the factor
     * @param ints the choices
     * @param floats the matrices
     */
    public static void addIdentity(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int t = 0; t < words.get(0); t++) {
            for (@Parallel int h = 0; h < words.get(1); h++) {
                float weight = identityWeight(words, ints, floats, t);
                if (weight != 0) {
                    float x = floats.get(words.get(6) + t * words.get(7) + h);
                    int y = words.get(8) + t * words.get(9) + h;
                    floats.set(y, floats.get(y) + constants.get(0) * weight * x);
                }
            }
        }
    }

    /**
     * dWeights[slot] = factor &lt;x[t], dY[t]&gt; for slots of identity experts.
     *
     * @param words tokens, topK, columns, where the choices begin, first identity expert, base and row stride of x, of dY
     *     and of dWeights
     * @param constants the factor
     * @param ints the choices
     * @param floats the matrices
     */
    public static void identityGradient(IntArray words, FloatArray constants, IntArray ints, FloatArray floats) {
        for (@Parallel int t = 0; t < words.get(0); t++) {
            for (@Parallel int j = 0; j < words.get(1); j++) {
                if (ints.get(words.get(3) + t * words.get(1) + j) >= words.get(4)) {
                    float sum = 0;
                    for (int h = 0; h < words.get(2); h++) {
                        float x = floats.get(words.get(5) + t * words.get(6) + h);
                        sum += x * floats.get(words.get(7) + t * words.get(8) + h);
                    }
                    floats.set(words.get(9) + t * words.get(10) + j, constants.get(0) * sum);
                }
            }
        }
    }
}
