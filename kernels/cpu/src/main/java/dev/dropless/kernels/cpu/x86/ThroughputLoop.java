package dev.dropless.kernels.cpu.x86;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * A loop of one multiply-accumulate instruction in registers, to learn how fast a processor has it. The rates of instructions that compute the same differ by
 * processor: of those with AMX, some run vdpbf16ps at a quarter of the rate of vfmadd231ps, others at the same rate.
 */
public final class ThroughputLoop implements AutoCloseable {

    /** Instructions of one step, on sums of their own: more than latency times units of current cores. */
    private static final int CHAINS = 24;

    private final ExecutableCode code;
    private final MethodHandle loop;
    private final int products;

    /**
     * Emits the loop.
     *
     * @param op {@link VectorOp#FMA}, {@link VectorOp#DOT_BF16} or {@link VectorOp#DOT_INT8}; the processor has it, with 512-bit registers
     * @throws UnsupportedOperationException if the system refuses executable memory
     */
    public ThroughputLoop(VectorOp op) {
        products = Assembler.Width.ZMM.bytes()
                / switch (op) {
                    case FMA -> 4;
                    case DOT_BF16 -> 2;
                    case DOT_INT8 -> 1;
                    default ->
                        throw new IllegalArgumentException("op: expected FMA, DOT_BF16 or DOT_INT8, found " + op);
                };
        Assembler assembler = new Assembler(Assembler.Width.ZMM);
        for (int register = 0; register <= CHAINS; register++) {
            assembler.vector(VectorOp.XOR, register, register, register);
        }
        int start = assembler.position();
        for (int chain = 0; chain < CHAINS; chain++) {
            assembler.vector(op, chain, CHAINS, CHAINS);
        }
        assembler.decrement(Gpr.RDI);
        assembler.jumpIfNotZero(start);
        assembler.returnFromVectorCode();
        code = ExecutableCode.load(assembler.toByteArray());
        loop = Linker.nativeLinker().downcallHandle(code.entry(0), FunctionDescriptor.ofVoid(ValueLayout.JAVA_LONG));
    }

    /**
     * Computes.
     *
     * @param steps how often, above 0
     */
    public void run(long steps) {
        if (steps < 1) {
            throw new IllegalArgumentException("steps: expected at least 1, found " + steps);
        }
        try {
            loop.invokeExact(steps);
        } catch (Throwable e) { // what invokeExact declares
            throw ForeignCall.unchecked(e);
        }
    }

    /**
     * Counts operations.
     *
     * @return of one step, a multiply-add counting as two
     */
    public double flopsPerStep() {
        return 2.0 * products * CHAINS;
    }

    /**
     * Measures for some tens of microseconds: the fastest of several runs.
     *
     * @return operations per second, a multiply-add counting as two
     */
    public double flopsPerSecond() {
        long steps = 500;
        long best = Long.MAX_VALUE;
        for (int i = 0; i < 10; i++) {
            long start = System.nanoTime();
            run(steps);
            best = Math.min(best, System.nanoTime() - start);
        }
        return steps * flopsPerStep() / best * 1e9;
    }

    /** Frees the code. */
    @Override
    public void close() {
        code.close();
    }
}
