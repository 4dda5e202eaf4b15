package dev.dropless.kernels.cpu;

import static java.lang.constant.ConstantDescs.CD_Object;
import static java.lang.constant.ConstantDescs.CD_boolean;
import static java.lang.constant.ConstantDescs.CD_float;
import static java.lang.constant.ConstantDescs.CD_int;
import static java.lang.constant.ConstantDescs.CD_void;
import static java.lang.constant.ConstantDescs.INIT_NAME;
import static java.lang.constant.ConstantDescs.MTD_void;

import java.lang.classfile.ClassFile;
import java.lang.classfile.CodeBuilder;
import java.lang.classfile.Label;
import java.lang.classfile.TypeKind;
import java.lang.classfile.instruction.SwitchCase;
import java.lang.constant.ClassDesc;
import java.lang.constant.MethodTypeDesc;
import java.lang.invoke.MethodHandles;
import java.util.ArrayList;
import java.util.List;
import jdk.incubator.vector.VectorSpecies;

/**
 * Writes the Vector API micro-kernels as bytecode: one method for every number of rows, with all accumulators in local variables. In Java source these
 * would be a dozen copies of one method, since the compiler keeps vectors in registers only if every one is a local variable of its own. The method for m
 * rows does
 * <pre>
 *   c(i,j) = two vectors of row i of c, for i = 0..m-1
 *   for k = 0..depth-1:
 *     b(j) = two vectors of row k of b
 *     for i = 0..m-1:  x = broadcast(a(i,k));  c(i,j) = fma(x, b(j), c(i,j))
 *   store c
 * </pre>
 * in three versions, for the places where the kernels of {@link TileKernels} find a(i,k).
 *
 * <p>Panels come from memory, which the hardware fetches too late by itself, and the Vector API has no prefetch instruction. With AVX-512 a vector store whose mask is
 * empty serves as one: it writes nothing, but the processor asks for its cache line, and goes on without waiting for it (a load would hold up everything behind it). So
 * with every term goes one such store, some elements after the last one.
 */
final class MicroKernelGenerator {

    private static final ClassDesc VECTOR = ClassDesc.of("jdk.incubator.vector.Vector");
    private static final ClassDesc FLOAT_VECTOR = ClassDesc.of("jdk.incubator.vector.FloatVector");
    private static final ClassDesc SPECIES = ClassDesc.of("jdk.incubator.vector.VectorSpecies");
    private static final ClassDesc FLOATS = CD_float.arrayType();
    private static final MethodTypeDesc LOAD = MethodTypeDesc.of(FLOAT_VECTOR, SPECIES, FLOATS, CD_int);
    private static final ClassDesc MASK_TYPE = ClassDesc.of("jdk.incubator.vector.VectorMask");
    private static final MethodTypeDesc STORE = MethodTypeDesc.of(CD_void, FLOATS, CD_int);
    private static final MethodTypeDesc MASKED_STORE = STORE.insertParameterTypes(2, MASK_TYPE);
    private static final MethodTypeDesc MASK_ALL = MethodTypeDesc.of(MASK_TYPE, CD_boolean);
    private static final MethodTypeDesc BROADCAST = MethodTypeDesc.of(FLOAT_VECTOR, SPECIES, CD_float);
    private static final MethodTypeDesc FMA = MethodTypeDesc.of(FLOAT_VECTOR, VECTOR, VECTOR);
    /** The parameters of every kernel, which are its local variables 0..9. */
    private static final MethodTypeDesc KERNEL =
            MethodTypeDesc.of(CD_void, CD_int, FLOATS, CD_int, CD_int, FLOATS, CD_int, FLOATS, CD_int, CD_int, CD_int);

    private static final MethodTypeDesc DISPATCH = KERNEL.insertParameterTypes(0, CD_int);
    private static final int DEPTH = 0;
    private static final int A = 1;
    private static final int A_OFFSET = 2;
    private static final int A_STRIDE = 3;
    private static final int B = 4;
    private static final int B_OFFSET = 5;
    private static final int C = 6;
    private static final int C_OFFSET = 7;
    private static final int AHEAD_OFFSET = 8;
    private static final int AHEAD_STEP = 9;
    /** In the place of an array. */
    private static final int NOTHING = -1;

    private static final int K = 10;
    private static final int EMPTY_MASK = 11;
    private static final int BROADCASTED = 12;
    private static final int B_VECTORS = 13;
    private static final int ACCUMULATORS = 15;
    private static final int VECTORS = 2;

    /** Where the left operand has its elements, by the method of {@link MicroKernel}; indices must be constant multiples of the loop variable. */
    private enum Left {
        MULTIPLY(1, TileKernels.ROW_STRIDE, B),
        /** Fetching the sums, which are what lies in memory here, gained nothing. */
        MULTIPLY_COLUMNS(TileKernels.BLOCK, 1, NOTHING),
        /** Two loops: one over panels, one inside a panel. */
        MULTIPLY_PANELS(1, TileKernels.PANEL, A);

        private final int termStride;
        private final int rowStride;
        /** The array in memory of which parts are fetched. */
        private final int fetched;

        Left(int termStride, int rowStride, int fetched) {
            this.termStride = termStride;
            this.rowStride = rowStride;
            this.fetched = fetched;
        }

        String method() {
            return switch (this) {
                case MULTIPLY -> "multiply";
                case MULTIPLY_COLUMNS -> "multiplyColumns";
                case MULTIPLY_PANELS -> "multiplyPanels";
            };
        }

        String kernel(int rows) {
            return method() + rows;
        }
    }

    private final int lanes;
    private final int maxRows;
    private final boolean fetches;
    private final String speciesField;
    private final ClassDesc self = ClassDesc.of(MicroKernelGenerator.class.getPackageName(), "GeneratedMicroKernel");

    private MicroKernelGenerator(VectorSpecies<Float> species, int maxRows, boolean fetches) {
        this.lanes = species.length();
        this.maxRows = maxRows;
        this.fetches = fetches;
        this.speciesField = "SPECIES_" + species.vectorBitSize();
    }

    /**
     * Generates and loads kernels for 1..maxRows rows.
     *
     * @param species one of the species of 64 to 512 bits
     * @param maxRows most rows; 2 maxRows + 4 vector registers are live at once
     * @param fetches whether a store with an empty mask fetches a cache line; otherwise kernels take no notice of what is to be fetched
     * @return the kernels
     */
    static MicroKernel generate(VectorSpecies<Float> species, int maxRows, boolean fetches) {
        byte[] classFile = new MicroKernelGenerator(species, maxRows, fetches).classFile();
        try {
            return (MicroKernel) MethodHandles.lookup()
                    .defineHiddenClass(classFile, true)
                    .lookupClass()
                    .getDeclaredConstructor()
                    .newInstance();
        } catch (ReflectiveOperationException e) {
            throw new LinkageError("generated kernels cannot be loaded", e);
        }
    }

    private byte[] classFile() {
        return ClassFile.of().build(self, type -> {
            type.withFlags(ClassFile.ACC_FINAL | ClassFile.ACC_SUPER);
            type.withInterfaceSymbols(MicroKernel.class.describeConstable().orElseThrow());
            type.withMethodBody(
                    INIT_NAME,
                    MTD_void,
                    0,
                    code -> code.aload(0)
                            .invokespecial(CD_Object, INIT_NAME, MTD_void)
                            .return_());
            for (Left left : Left.values()) {
                type.withMethodBody(left.method(), DISPATCH, ClassFile.ACC_PUBLIC, code -> dispatch(code, left));
                for (int m = 1; m <= maxRows; m++) {
                    int rows = m;
                    type.withMethodBody(left.kernel(m), KERNEL, ClassFile.ACC_STATIC, code -> kernel(code, left, rows));
                }
            }
        });
    }

    private void dispatch(CodeBuilder code, Left left) {
        List<SwitchCase> cases = new ArrayList<>();
        for (int m = 1; m <= maxRows; m++) {
            cases.add(SwitchCase.of(m, code.newLabel()));
        }
        Label other = code.newLabel();
        code.iload(1).tableswitch(1, maxRows, other, cases);
        for (SwitchCase branch : cases) {
            code.labelBinding(branch.target());
            for (int parameter = 0; parameter < KERNEL.parameterCount(); parameter++) {
                code.loadLocal(TypeKind.from(KERNEL.parameterType(parameter)), parameter + 2);
            }
            code.invokestatic(self, left.kernel(branch.caseValue()), KERNEL).return_();
        }
        ClassDesc exception = ClassDesc.of("java.lang.IllegalArgumentException");
        code.labelBinding(other)
                .new_(exception)
                .dup()
                .invokespecial(exception, INIT_NAME, MTD_void)
                .athrow();
    }

    private void kernel(CodeBuilder code, Left left, int rows) {
        if (fetches && left.fetched != NOTHING) {
            species(code);
            code.iconst_0().invokeinterface(SPECIES, "maskAll", MASK_ALL).astore(EMPTY_MASK);
        }
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < VECTORS; j++) {
                species(code);
                code.aload(C);
                index(code, C_OFFSET, i * TileKernels.PANEL + j * lanes);
                code.invokestatic(FLOAT_VECTOR, "fromArray", LOAD).astore(accumulator(i, j));
            }
        }
        if (left == Left.MULTIPLY_PANELS) {
            Label loop = code.newLabel();
            Label done = code.newLabel();
            code.labelBinding(loop).iload(DEPTH).ifle(done);
            terms(code, left, rows);
            code.iload(A_OFFSET).iload(A_STRIDE).iadd().istore(A_OFFSET);
            code.iload(B_OFFSET)
                    .loadConstant(TileKernels.PANEL * TileKernels.PANEL)
                    .iadd()
                    .istore(B_OFFSET);
            if (fetches) { // the next panel's part begins a stride after this one's
                code.iload(AHEAD_OFFSET).iload(A_STRIDE).iadd();
                code.iload(AHEAD_STEP).loadConstant(TileKernels.PANEL).imul();
                code.isub().istore(AHEAD_OFFSET);
            }
            code.iinc(DEPTH, -TileKernels.PANEL).goto_(loop).labelBinding(done);
        } else {
            terms(code, left, rows);
        }
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < VECTORS; j++) {
                code.aload(accumulator(i, j)).aload(C);
                index(code, C_OFFSET, i * TileKernels.PANEL + j * lanes);
                code.invokevirtual(FLOAT_VECTOR, "intoArray", STORE);
            }
        }
        code.return_();
    }

    /** The loop over all terms, or over those of a panel. */
    private void terms(CodeBuilder code, Left left, int rows) {
        Label loop = code.newLabel();
        Label done = code.newLabel();
        code.iconst_0().istore(K);
        code.labelBinding(loop).iload(K);
        if (left == Left.MULTIPLY_PANELS) {
            code.loadConstant(TileKernels.PANEL);
        } else {
            code.iload(DEPTH);
        }
        code.if_icmpge(done);
        for (int j = 0; j < VECTORS; j++) {
            species(code);
            code.aload(B)
                    .iload(B_OFFSET)
                    .iload(K)
                    .loadConstant(TileKernels.PANEL)
                    .imul()
                    .iadd();
            code.loadConstant(j * lanes).iadd();
            code.invokestatic(FLOAT_VECTOR, "fromArray", LOAD).astore(B_VECTORS + j);
        }
        if (fetches && left.fetched != NOTHING) {
            code.aload(B_VECTORS).aload(left.fetched).iload(AHEAD_OFFSET).aload(EMPTY_MASK);
            code.invokevirtual(FLOAT_VECTOR, "intoArray", MASKED_STORE);
            code.iload(AHEAD_OFFSET).iload(AHEAD_STEP).iadd().istore(AHEAD_OFFSET);
        }
        for (int i = 0; i < rows; i++) {
            multiplyRow(code, left, i);
        }
        code.iinc(K, 1).goto_(loop).labelBinding(done);
    }

    private void multiplyRow(CodeBuilder code, Left left, int i) {
        species(code);
        code.aload(A)
                .iload(A_OFFSET)
                .iload(K)
                .loadConstant(left.termStride)
                .imul()
                .iadd();
        code.loadConstant(i * left.rowStride).iadd().faload();
        code.invokestatic(FLOAT_VECTOR, "broadcast", BROADCAST).astore(BROADCASTED);
        for (int j = 0; j < VECTORS; j++) {
            code.aload(BROADCASTED).aload(B_VECTORS + j).aload(accumulator(i, j));
            code.invokevirtual(FLOAT_VECTOR, "fma", FMA).astore(accumulator(i, j));
        }
    }

    private static int accumulator(int row, int vector) {
        return ACCUMULATORS + row * VECTORS + vector;
    }

    private void species(CodeBuilder code) {
        code.getstatic(FLOAT_VECTOR, speciesField, SPECIES);
    }

    private static void index(CodeBuilder code, int offset, int displacement) {
        code.iload(offset).loadConstant(displacement).iadd();
    }
}
