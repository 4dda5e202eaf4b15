package dev.dropless.kernels.cpu;

import static java.lang.constant.ConstantDescs.CD_Object;
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
 * in three versions, for the places where the kernels of {@link TileKernels} find a(i,k). The first reads the next panel in passing, as the hardware fetches a
 * panel too late that is read at full speed from its beginning.
 */
final class MicroKernelGenerator {

    private static final ClassDesc VECTOR = ClassDesc.of("jdk.incubator.vector.Vector");
    private static final ClassDesc FLOAT_VECTOR = ClassDesc.of("jdk.incubator.vector.FloatVector");
    private static final ClassDesc SPECIES = ClassDesc.of("jdk.incubator.vector.VectorSpecies");
    private static final ClassDesc FLOATS = CD_float.arrayType();
    private static final MethodTypeDesc LOAD = MethodTypeDesc.of(FLOAT_VECTOR, SPECIES, FLOATS, CD_int);
    private static final MethodTypeDesc STORE = MethodTypeDesc.of(CD_void, FLOATS, CD_int);
    private static final MethodTypeDesc BROADCAST = MethodTypeDesc.of(FLOAT_VECTOR, SPECIES, CD_float);
    private static final MethodTypeDesc FMA = MethodTypeDesc.of(FLOAT_VECTOR, VECTOR, VECTOR);
    /** depth, a, aOffset, aStride, b, bOffset, c, cOffset: the local variables 0..7 of every kernel. */
    private static final MethodTypeDesc KERNEL =
            MethodTypeDesc.of(CD_float, CD_int, FLOATS, CD_int, CD_int, FLOATS, CD_int, FLOATS, CD_int);

    private static final MethodTypeDesc DISPATCH = KERNEL.insertParameterTypes(0, CD_int);
    private static final int DEPTH = 0;
    private static final int A = 1;
    private static final int A_OFFSET = 2;
    private static final int A_STRIDE = 3;
    /** In the place of a stride that is not needed. */
    private static final int AHEAD = 3;

    private static final int B = 4;
    private static final int B_OFFSET = 5;
    private static final int C = 6;
    private static final int C_OFFSET = 7;
    private static final int K = 8;
    private static final int BROADCASTED = 9;
    private static final int B_VECTORS = 10;
    /** Sum of what was read ahead: there is no prefetch instruction, but a read at the pace of the products lets the hardware's prefetcher keep up. */
    private static final int TOUCHED = 12;

    private static final int ACCUMULATORS = 13;
    private static final int VECTORS = 2;

    /** Where the left operand has its elements, by the method of {@link MicroKernel}; indices must be constant multiples of the loop variable. */
    private enum Left {
        MULTIPLY(1, TileKernels.ROW_STRIDE),
        MULTIPLY_COLUMNS(TileKernels.BLOCK, 1),
        /** Two loops: one over panels, one inside a panel. */
        MULTIPLY_PANELS(1, TileKernels.PANEL);

        private final int termStride;
        private final int rowStride;

        Left(int termStride, int rowStride) {
            this.termStride = termStride;
            this.rowStride = rowStride;
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
    private final String speciesField;
    private final ClassDesc self = ClassDesc.of(MicroKernelGenerator.class.getPackageName(), "GeneratedMicroKernel");

    private MicroKernelGenerator(VectorSpecies<Float> species, int maxRows) {
        this.lanes = species.length();
        this.maxRows = maxRows;
        this.speciesField = "SPECIES_" + species.vectorBitSize();
    }

    /**
     * Generates and loads kernels for 1..maxRows rows.
     *
     * @param species one of the species of 64 to 512 bits
     * @param maxRows most rows; 2 maxRows + 4 vector registers are live at once
     * @return the kernels
     */
    static MicroKernel generate(VectorSpecies<Float> species, int maxRows) {
        byte[] classFile = new MicroKernelGenerator(species, maxRows).classFile();
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
            code.invokestatic(self, left.kernel(branch.caseValue()), KERNEL).freturn();
        }
        ClassDesc exception = ClassDesc.of("java.lang.IllegalArgumentException");
        code.labelBinding(other)
                .new_(exception)
                .dup()
                .invokespecial(exception, INIT_NAME, MTD_void)
                .athrow();
    }

    private void kernel(CodeBuilder code, Left left, int rows) {
        code.fconst_0().fstore(TOUCHED);
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
        code.fload(TOUCHED).freturn();
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
        for (int i = 0; i < rows; i++) {
            multiplyRow(code, left, i);
        }
        if (left == Left.MULTIPLY) {
            code.fload(TOUCHED).aload(B).iload(AHEAD).iload(K).loadConstant(MicroKernel.AHEAD_STEP);
            code.imul().iadd().faload().fadd().fstore(TOUCHED);
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
