package dev.dropless.kernels.cpu;

import dev.dropless.blocksparse.Activation;
import dev.dropless.kernels.cpu.x86.Address;
import dev.dropless.kernels.cpu.x86.Assembler;
import dev.dropless.kernels.cpu.x86.Assembler.Width;
import dev.dropless.kernels.cpu.x86.ExecutableCode;
import dev.dropless.kernels.cpu.x86.Gpr;
import dev.dropless.kernels.cpu.x86.VectorOp;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Writes the code of activations that are built on the sigmoid function, and of their derivatives (AVX-512): {@link FloatMath} operation by operation, so with
 * the same bits. A power of two is multiplied at once instead of in two halves, which rounds in the same place; limits are applied before the sigmoid function,
 * since beyond them the derivative is replaced.
 */
final class EmittedActivations {

    /** Of {@link #forward} (System V): a, b and h with offsets in elements; on the stack the number of vectors and the table. b is not read where there is no gate. */
    static final FunctionDescriptor FORWARD = FunctionDescriptor.ofVoid(
            ValueLayout.ADDRESS,
            ValueLayout.JAVA_LONG,
            ValueLayout.ADDRESS,
            ValueLayout.JAVA_LONG,
            ValueLayout.ADDRESS,
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG,
            ValueLayout.ADDRESS);

    /**
     * Of {@link #backward} (System V): g with its offset in elements, a, b, h, factors of the rows; on the stack the number of rows, dots with their offset in elements
     * and stride in bytes, and the table.
     */
    static final FunctionDescriptor BACKWARD = FunctionDescriptor.ofVoid(
            ValueLayout.ADDRESS,
            ValueLayout.JAVA_LONG,
            ValueLayout.ADDRESS,
            ValueLayout.ADDRESS,
            ValueLayout.ADDRESS,
            ValueLayout.ADDRESS,
            ValueLayout.JAVA_LONG,
            ValueLayout.ADDRESS,
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG,
            ValueLayout.ADDRESS);

    /**
     * Of {@link #tile} (System V): the tile with its offset in elements, the target with its offset in elements and its stride in bytes, the number of rows; on the stack the
     * table.
     */
    static final FunctionDescriptor TILE = FunctionDescriptor.ofVoid(
            ValueLayout.ADDRESS,
            ValueLayout.JAVA_LONG,
            ValueLayout.ADDRESS,
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG,
            ValueLayout.ADDRESS);

    /** Constants in the order of the table, each in a register of its own: the last registers. */
    private enum Constant {
        SIGN,
        EXP_MIN,
        LOG2_E,
        ROUND,
        LN2_HIGH,
        LN2_LOW,
        E7,
        E6,
        E5,
        E4,
        E3,
        E2,
        ONE,
        GATE_MAX,
        UP_LIMIT,
        LOWEST_UP,
        UP_OFFSET,
        /** Only for {@link Activation.Function#SILU}, in the register of the next one. */
        ALPHA,
        TANH_1,
        TANH_3,
        TANH_3_SLOPE;

        private int register() {
            return this == ALPHA ? TANH_1.register() : Width.ZMM.registers() - values().length + ordinal();
        }
    }

    // Registers, by what they hold for most of the time.
    private static final int X = 0;
    private static final int CLAMPED = 1;
    private static final int Z = 2;
    private static final int E = 3;
    private static final int D = 4;
    private static final int SIGMOID = 5;
    private static final int VALUE = 6;
    private static final int SQUARE = 7;
    private static final int B = 8;
    private static final int UP = 9;
    private static final int DOT = 10;
    private static final int ZERO = Constant.UP_OFFSET.register() + 1; // would be that of ALPHA

    private static final int MASK = 1;
    private static final int VECTOR = Width.ZMM.bytes();

    private final Assembler assembler = new Assembler(Width.ZMM);
    private final MemorySegment[] forward = new MemorySegment[4];
    private final MemorySegment[] tile = new MemorySegment[4];
    private final MemorySegment[] backward = new MemorySegment[8];

    /**
     * Emits and loads the code. It stays for the life of the process.
     *
     * @throws UnsupportedOperationException if the system refuses executable memory
     */
    EmittedActivations() {
        int[] forwardAt = new int[forward.length];
        int[] tileAt = new int[tile.length];
        int[] backwardAt = new int[backward.length];
        for (int i = 0; i < backward.length; i++) {
            boolean tanh = (i & 1) != 0;
            boolean gated = (i & 2) != 0;
            boolean recompute = (i & 4) != 0;
            if (!recompute) {
                forwardAt[i] = emitForward(tanh, gated);
                boolean stream = (i & 2) != 0; // tiles are always gated: the bit says something else
                tileAt[i] = emitTile(tanh, stream ? VectorOp.STREAM : VectorOp.STORE);
            }
            backwardAt[i] = emitBackward(tanh, gated, recompute);
        }
        ExecutableCode code = ExecutableCode.load(assembler.toByteArray());
        for (int i = 0; i < backward.length; i++) {
            backward[i] = code.entry(backwardAt[i]);
            forward[i % forward.length] = code.entry(forwardAt[i % forward.length]);
            tile[i % tile.length] = code.entry(tileAt[i % tile.length]);
        }
    }

    /** Whether there is code for a function. */
    static boolean has(Activation.Function function) {
        return function == Activation.Function.SILU || function == Activation.Function.GELU_TANH;
    }

    /** Entry point for {@link TileKernels#activate} and {@link TileKernels#activateGated}. */
    MemorySegment forward(Activation.Function function, boolean gated) {
        return forward[variant(function, gated)];
    }

    /**
     * Entry point for {@link TileKernels#activateTile}.
     *
     * @param stream whether past the caches, where all rows of the target are aligned to cache lines
     */
    MemorySegment tile(Activation.Function function, boolean stream) {
        return tile[variant(function, stream)];
    }

    /** Entry point for {@link TileKernels#differentiateTile}. */
    MemorySegment backward(Activation.Function function, boolean gated, boolean recompute) {
        return backward[variant(function, gated) + (recompute ? 4 : 0)];
    }

    private static int variant(Activation.Function function, boolean second) {
        return (function == Activation.Function.GELU_TANH ? 1 : 0) + (second ? 2 : 0);
    }

    /** The constants of an activation as the code reads them. */
    static MemorySegment table(float alpha, float gateMax, float upLimit, float upOffset) {
        return MemorySegment.ofArray(new float[] {
            -0f,
            FloatMath.EXP_MIN,
            FloatMath.LOG2_E,
            FloatMath.ROUND,
            -FloatMath.LN2_HIGH,
            -FloatMath.LN2_LOW,
            FloatMath.E7,
            FloatMath.E6,
            FloatMath.E5,
            FloatMath.E4,
            FloatMath.E3,
            FloatMath.E2,
            1,
            gateMax,
            upLimit,
            -upLimit,
            upOffset,
            alpha,
            FloatMath.TANH_1,
            FloatMath.TANH_3,
            FloatMath.TANH_3_SLOPE
        });
    }

    private int emitForward(boolean tanh, boolean gated) {
        assembler.align(VECTOR);
        int entry = assembler.position();
        assembler.loadAddress(Gpr.RDI, Address.at(Gpr.RDI, Gpr.RSI, Float.BYTES, 0));
        assembler.loadAddress(Gpr.RDX, Address.at(Gpr.RDX, Gpr.RCX, Float.BYTES, 0));
        assembler.loadAddress(Gpr.R8, Address.at(Gpr.R8, Gpr.R9, Float.BYTES, 0));
        assembler.load(Gpr.R10, stack(0));
        loadConstants(stack(1), tanh);
        int loop = assembler.position();
        assembler.vector(VectorOp.LOAD, X, 0, Address.at(Gpr.RDI, 0));
        value(tanh);
        if (gated) {
            up(Address.at(Gpr.RDX, 0));
            op(VectorOp.MUL, VALUE, VALUE, UP);
            assembler.add(Gpr.RDX, VECTOR);
        }
        assembler.vector(VectorOp.STORE, VALUE, 0, Address.at(Gpr.R8, 0));
        assembler.add(Gpr.RDI, VECTOR);
        assembler.add(Gpr.R8, VECTOR);
        assembler.decrement(Gpr.R10);
        assembler.jumpIfNotZero(loop);
        assembler.returnFromVectorCode();
        return entry;
    }

    private int emitTile(boolean tanh, VectorOp store) {
        assembler.align(VECTOR);
        int entry = assembler.position();
        assembler.loadAddress(Gpr.RDI, Address.at(Gpr.RDI, Gpr.RSI, Float.BYTES, 0));
        assembler.loadAddress(Gpr.RDX, Address.at(Gpr.RDX, Gpr.RCX, Float.BYTES, 0));
        loadConstants(stack(0), tanh);
        int row = assembler.position();
        assembler.vector(VectorOp.LOAD, X, 0, Address.at(Gpr.RDI, 0));
        value(tanh);
        up(Address.at(Gpr.RDI, VECTOR));
        op(VectorOp.MUL, VALUE, VALUE, UP);
        assembler.vector(store, VALUE, 0, Address.at(Gpr.RDX, 0));
        assembler.add(Gpr.RDI, TileKernels.PANEL * Float.BYTES);
        assembler.add(Gpr.RDX, Gpr.R8);
        assembler.decrement(Gpr.R9);
        assembler.jumpIfNotZero(row);
        assembler.returnFromVectorCode();
        return entry;
    }

    private int emitBackward(boolean tanh, boolean gated, boolean recompute) {
        assembler.align(VECTOR);
        int entry = assembler.position();
        assembler.loadAddress(Gpr.RDI, Address.at(Gpr.RDI, Gpr.RSI, Float.BYTES, 0));
        assembler.load(Gpr.R10, stack(0));
        assembler.load(Gpr.R11, stack(1));
        assembler.load(Gpr.RSI, stack(2));
        assembler.loadAddress(Gpr.R11, Address.at(Gpr.R11, Gpr.RSI, Float.BYTES, 0));
        assembler.load(Gpr.RSI, stack(3));
        loadConstants(stack(4), tanh);
        int row = assembler.position();
        for (int at = 0; at < TileKernels.PANEL * Float.BYTES; at += VECTOR) {
            differentiate(tanh, gated, recompute, at);
        }
        sumLanes();
        assembler.vector(VectorOp.STORE_LANE, DOT, 0, Address.at(Gpr.R11, 0));
        assembler.add(Gpr.R11, Gpr.RSI);
        assembler.add(Gpr.R9, Float.BYTES);
        for (Gpr pointer : new Gpr[] {Gpr.RDI, Gpr.RDX, Gpr.RCX, Gpr.R8}) {
            assembler.add(pointer, TileKernels.PANEL * Float.BYTES);
        }
        assembler.decrement(Gpr.R10);
        assembler.jumpIfNotZero(row);
        assembler.returnFromVectorCode();
        return entry;
    }

    private static Address stack(int argument) {
        return Address.at(Gpr.RSP, (1 + argument) * Long.BYTES);
    }

    private void loadConstants(Address table, boolean tanh) {
        assembler.load(Gpr.RAX, table);
        for (Constant constant : Constant.values()) {
            boolean ofTanh = constant.ordinal() > Constant.ALPHA.ordinal();
            if (constant == Constant.ALPHA ? !tanh : (tanh || !ofTanh)) {
                Address place = Address.at(Gpr.RAX, constant.ordinal() * Float.BYTES);
                assembler.vector(VectorOp.BROADCAST, constant.register(), 0, place);
            }
        }
        op(VectorOp.XOR, ZERO, ZERO, ZERO);
    }

    private void op(VectorOp op, int dst, int src1, int src2) {
        assembler.vector(op, dst, src1, src2);
    }

    private void op(VectorOp op, int dst, int src1, Constant src2) {
        assembler.vector(op, dst, src1, src2.register());
    }

    private void move(int dst, int src) {
        assembler.vector(VectorOp.LOAD, dst, 0, src);
    }

    private void moveWhere(VectorOp condition, int left, int right, int dst, int src) {
        assembler.vector(condition, MASK, left, right);
        assembler.masked(VectorOp.LOAD, MASK, dst, 0, src);
    }

    /** VALUE = f(min(x, gateMax)); leaves Z, E = exp(-|z|), D = 1 + E, SIGMOID, and for tanh SQUARE. */
    private void value(boolean tanh) {
        op(VectorOp.MIN, CLAMPED, Constant.GATE_MAX.register(), X);
        if (tanh) {
            op(VectorOp.MUL, SQUARE, CLAMPED, CLAMPED);
            move(Z, Constant.TANH_1.register());
            op(VectorOp.FMA, Z, SQUARE, Constant.TANH_3);
            op(VectorOp.MUL, Z, CLAMPED, Z);
        } else {
            op(VectorOp.MUL, Z, CLAMPED, Constant.ALPHA);
        }
        exponential();
        op(VectorOp.ADD, D, E, Constant.ONE);
        move(SIGMOID, E);
        moveWhere(VectorOp.IS_AT_LEAST, Z, ZERO, SIGMOID, Constant.ONE.register());
        op(VectorOp.DIV, SIGMOID, SIGMOID, D);
        op(VectorOp.MUL, VALUE, CLAMPED, SIGMOID);
    }

    /** E = exp(-|z|). */
    private void exponential() {
        int n = D;
        int p = SIGMOID;
        op(VectorOp.OR, E, Z, Constant.SIGN);
        op(VectorOp.MAX, E, Constant.EXP_MIN.register(), E);
        move(n, Constant.ROUND.register());
        op(VectorOp.FMA, n, E, Constant.LOG2_E);
        op(VectorOp.SUB, n, n, Constant.ROUND);
        op(VectorOp.FMA, E, n, Constant.LN2_HIGH);
        op(VectorOp.FMA, E, n, Constant.LN2_LOW);
        move(p, Constant.E7.register());
        for (int degree = Constant.E6.ordinal(); degree <= Constant.ONE.ordinal(); degree++) {
            op(VectorOp.FMA_ONTO, p, E, Constant.values()[degree]);
        }
        op(VectorOp.FMA_ONTO, p, E, Constant.ONE);
        op(VectorOp.SCALE, E, p, n);
    }

    /** UP = clamp(b) + upOffset. */
    private void up(Address b) {
        assembler.vector(VectorOp.LOAD, B, 0, b);
        op(VectorOp.MIN, UP, Constant.UP_LIMIT.register(), B);
        op(VectorOp.MAX, UP, Constant.LOWEST_UP.register(), UP);
        op(VectorOp.ADD, UP, UP, Constant.UP_OFFSET);
    }

    /** One vector of {@link TileKernels#differentiateTile}, some bytes from the start of a row. */
    private void differentiate(boolean tanh, boolean gated, boolean recompute, int at) {
        int slopeOfSigmoid = E;
        int hidden = D;
        int gradient = CLAMPED;
        int slope = SQUARE;
        assembler.vector(VectorOp.LOAD, X, 0, Address.at(Gpr.RDX, at));
        value(tanh);
        op(VectorOp.MUL, D, D, D);
        op(VectorOp.DIV, slopeOfSigmoid, E, D);
        if (gated) {
            up(Address.at(Gpr.RCX, at));
        }
        if (!recompute) {
            assembler.vector(VectorOp.LOAD, hidden, 0, Address.at(Gpr.R8, at));
        } else {
            if (gated) {
                op(VectorOp.MUL, hidden, VALUE, UP);
            } else {
                move(hidden, VALUE);
            }
            assembler.vector(VectorOp.STORE, hidden, 0, Address.at(Gpr.R8, at));
        }
        slope(tanh, slopeOfSigmoid, slope);
        if (gated) {
            op(VectorOp.MUL, slope, slope, UP);
        }
        assembler.vector(VectorOp.LOAD, gradient, 0, Address.at(Gpr.RDI, at));
        int product = at == 0 ? DOT : Z;
        move(product, ZERO);
        op(VectorOp.FMA, product, hidden, gradient);
        if (at > 0) {
            op(VectorOp.ADD, DOT, DOT, product);
        }
        assembler.vector(VectorOp.BROADCAST, E, 0, Address.at(Gpr.R9, 0));
        op(VectorOp.MUL, gradient, gradient, E);
        op(VectorOp.MUL, slope, gradient, slope);
        assembler.vector(VectorOp.STORE, slope, 0, Address.at(Gpr.RDX, at));
        if (gated) {
            moveWhere(VectorOp.IS_GREATER, B, Constant.UP_LIMIT.register(), VALUE, ZERO);
            moveWhere(VectorOp.IS_GREATER, Constant.LOWEST_UP.register(), B, VALUE, ZERO);
            op(VectorOp.MUL, VALUE, gradient, VALUE);
            assembler.vector(VectorOp.STORE, VALUE, 0, Address.at(Gpr.RCX, at));
        }
    }

    /** The derivative by x, with sigmoid'(z) at hand: sigmoid(z) + x dz/dx sigmoid'(z), without the product where the slope has vanished. */
    private void slope(boolean tanh, int slopeOfSigmoid, int target) {
        if (tanh) {
            int dz = CLAMPED;
            move(dz, Constant.TANH_1.register());
            op(VectorOp.FMA, dz, SQUARE, Constant.TANH_3_SLOPE);
            op(VectorOp.MUL, Z, X, slopeOfSigmoid);
            move(target, SIGMOID);
            op(VectorOp.FMA, target, Z, dz);
        } else {
            move(target, SIGMOID);
            op(VectorOp.FMA, target, Z, slopeOfSigmoid);
        }
        moveWhere(VectorOp.IS_EQUAL, slopeOfSigmoid, ZERO, target, SIGMOID);
        moveWhere(VectorOp.IS_GREATER, X, Constant.GATE_MAX.register(), target, ZERO);
    }

    /** DOT[0] = the sum of all lanes, halves first: {@link FloatMath#sumLanes}. */
    private void sumLanes() {
        VectorOp[] halves = {
            VectorOp.ROTATE_LANES_8, VectorOp.ROTATE_LANES_4, VectorOp.ROTATE_LANES_2, VectorOp.ROTATE_LANES_1
        };
        for (VectorOp half : halves) {
            op(half, Z, DOT, DOT);
            op(VectorOp.ADD, DOT, DOT, Z);
        }
    }
}
