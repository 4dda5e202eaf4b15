package dev.dropless.kernels.tornado.device;

/**
 * 16-bit floats from and to their bits, by arithmetic alone: TornadoVM's compilers have no way from the bits of a number
 * to the number. Exact, and rounded to nearest with ties to even; multiplications are by powers of two.
 */
final class HalfMath {

    private static final float UP_64 = 0x1p64f;
    private static final float UP_32 = 0x1p32f;
    private static final float UP_16 = 0x1p16f;
    private static final float UP_8 = 0x1p8f;
    private static final float UP_4 = 0x1p4f;
    private static final float UP_2 = 0x1p2f;

    private HalfMath() {}

    /** x 2^n, for |n| below 256; exact unless the result is subnormal. */
    static float scaled(float x, int n) {
        int m = n < 0 ? -n : n;
        boolean up = n >= 0;
        float r = x;
        r = m >= 128 ? r * (up ? UP_64 : 1 / UP_64) * (up ? UP_64 : 1 / UP_64) : r;
        m = m >= 128 ? m - 128 : m;
        r = m >= 64 ? r * (up ? UP_64 : 1 / UP_64) : r;
        m = m >= 64 ? m - 64 : m;
        r = m >= 32 ? r * (up ? UP_32 : 1 / UP_32) : r;
        m = m >= 32 ? m - 32 : m;
        r = m >= 16 ? r * (up ? UP_16 : 1 / UP_16) : r;
        m = m >= 16 ? m - 16 : m;
        r = m >= 8 ? r * (up ? UP_8 : 1 / UP_8) : r;
        m = m >= 8 ? m - 8 : m;
        r = m >= 4 ? r * (up ? UP_4 : 1 / UP_4) : r;
        m = m >= 4 ? m - 4 : m;
        r = m >= 2 ? r * (up ? UP_2 : 1 / UP_2) : r;
        m = m >= 2 ? m - 2 : m;
        return m >= 1 ? r * (up ? 2 : 0.5f) : r;
    }

    /**
     * The number that bits stand for.
     *
     * @param half 1 for binary16, 0 for bfloat16
     */
    static float decode(int bits, int half, float infinity, float nan) {
        int unsigned = bits < 0 ? bits + 65536 : bits;
        int hidden = half == 1 ? 1024 : 128;
        int bias = half == 1 ? 15 : 127;
        int digits = half == 1 ? 10 : 7;
        int sign = unsigned / 32768;
        int magnitude = unsigned - sign * 32768;
        int exponent = magnitude / hidden;
        int fraction = magnitude - exponent * hidden;
        int whole = exponent == 0 ? fraction : fraction + hidden;
        float value = scaled(whole, (exponent == 0 ? 1 : exponent) - bias - digits);
        value = exponent == 2 * bias + 1 ? (fraction == 0 ? infinity : nan) : value;
        return sign == 1 ? -value : value;
    }

    /** By how much the exponent of t changes where a power of two brings t nearer to 1..2. */
    private static int step(float t, float power, int exponent) {
        int down = t * power < 2 ? -exponent : 0;
        return t >= power ? exponent : down;
    }

    /** t divided or multiplied by that power of two, or left as it is. */
    private static float stepped(float t, float power) {
        float up = t * power < 2 ? t * power : t;
        return t >= power ? t / power : up;
    }

    /**
     * The bits of the nearest 16-bit float.
     *
     * @param half 1 for binary16, 0 for bfloat16
     */
    @SuppressWarnings("IdentityBinaryExpression") // that is how kernels ask for NaN
    static int encode(float x, int half, float infinity) {
        int hidden = half == 1 ? 1024 : 128;
        int bias = half == 1 ? 15 : 127;
        float a = x < 0 ? -x : x;
        // a = t 2^e with 1 <= t < 2; the first step twice, since subnormal numbers reach down to 2^-149.
        int e = step(a, UP_64, 64);
        float t = stepped(a, UP_64);
        e += step(t, UP_64, 64);
        t = stepped(t, UP_64);
        e += step(t, UP_32, 32);
        t = stepped(t, UP_32);
        e += step(t, UP_16, 16);
        t = stepped(t, UP_16);
        e += step(t, UP_8, 8);
        t = stepped(t, UP_8);
        e += step(t, UP_4, 4);
        t = stepped(t, UP_4);
        e += step(t, UP_2, 2);
        t = stepped(t, UP_2);
        e += step(t, 2, 1);
        t = stepped(t, 2);
        // Below the smallest normal number the last place stays where it is.
        int below = 1 - bias - e;
        int shift = below < 0 ? 0 : below > 40 ? 40 : below;
        float places = t * hidden;
        places = shift >= 32 ? places / UP_32 : places;
        shift = shift >= 32 ? shift - 32 : shift;
        places = shift >= 16 ? places / UP_16 : places;
        shift = shift >= 16 ? shift - 16 : shift;
        places = shift >= 8 ? places / UP_8 : places;
        shift = shift >= 8 ? shift - 8 : shift;
        places = shift >= 4 ? places / UP_4 : places;
        shift = shift >= 4 ? shift - 4 : shift;
        places = shift >= 2 ? places / UP_2 : places;
        shift = shift >= 2 ? shift - 2 : shift;
        places = shift >= 1 ? places / 2 : places;
        int whole = (int) places;
        float rest = places - whole;
        int odd = whole - whole / 2 * 2;
        int tie = rest == 0.5f ? odd : 0;
        int rounded = rest > 0.5f ? whole + 1 : whole + tie;
        int field = (e + bias - 1) * hidden + rounded;
        int most = (2 * bias + 1) * hidden;
        int bits = below > 0 ? rounded : field > most ? most : field;
        bits = a == 0 ? 0 : a == infinity ? most : bits;
        bits = x != x ? most + hidden / 2 : bits;
        float direction = x == 0 ? 1 / x : x;
        return direction < 0 ? bits + 32768 : bits;
    }
}
