package dev.dropless.kernels.cpu.x86;

import static dev.dropless.kernels.cpu.x86.VectorOp.ADD;
import static dev.dropless.kernels.cpu.x86.VectorOp.ADD_INT32;
import static dev.dropless.kernels.cpu.x86.VectorOp.AND;
import static dev.dropless.kernels.cpu.x86.VectorOp.BROADCAST;
import static dev.dropless.kernels.cpu.x86.VectorOp.DIV;
import static dev.dropless.kernels.cpu.x86.VectorOp.DOT_BF16;
import static dev.dropless.kernels.cpu.x86.VectorOp.DOT_INT8;
import static dev.dropless.kernels.cpu.x86.VectorOp.FMA;
import static dev.dropless.kernels.cpu.x86.VectorOp.FMA_ONTO;
import static dev.dropless.kernels.cpu.x86.VectorOp.INT32_TO_FLOAT;
import static dev.dropless.kernels.cpu.x86.VectorOp.IS_AT_LEAST;
import static dev.dropless.kernels.cpu.x86.VectorOp.IS_EQUAL;
import static dev.dropless.kernels.cpu.x86.VectorOp.IS_GREATER;
import static dev.dropless.kernels.cpu.x86.VectorOp.IS_NAN;
import static dev.dropless.kernels.cpu.x86.VectorOp.LOAD;
import static dev.dropless.kernels.cpu.x86.VectorOp.MAX;
import static dev.dropless.kernels.cpu.x86.VectorOp.MIN;
import static dev.dropless.kernels.cpu.x86.VectorOp.MUL;
import static dev.dropless.kernels.cpu.x86.VectorOp.ONES;
import static dev.dropless.kernels.cpu.x86.VectorOp.OR;
import static dev.dropless.kernels.cpu.x86.VectorOp.PERMUTE;
import static dev.dropless.kernels.cpu.x86.VectorOp.ROTATE_LANES_1;
import static dev.dropless.kernels.cpu.x86.VectorOp.ROTATE_LANES_2;
import static dev.dropless.kernels.cpu.x86.VectorOp.ROTATE_LANES_4;
import static dev.dropless.kernels.cpu.x86.VectorOp.ROTATE_LANES_8;
import static dev.dropless.kernels.cpu.x86.VectorOp.SCALE;
import static dev.dropless.kernels.cpu.x86.VectorOp.STORE;
import static dev.dropless.kernels.cpu.x86.VectorOp.STORE_16;
import static dev.dropless.kernels.cpu.x86.VectorOp.STORE_F16;
import static dev.dropless.kernels.cpu.x86.VectorOp.STORE_LANE;
import static dev.dropless.kernels.cpu.x86.VectorOp.STREAM;
import static dev.dropless.kernels.cpu.x86.VectorOp.SUB;
import static dev.dropless.kernels.cpu.x86.VectorOp.WIDEN_16;
import static dev.dropless.kernels.cpu.x86.VectorOp.WIDEN_8;
import static dev.dropless.kernels.cpu.x86.VectorOp.WIDEN_F16;
import static dev.dropless.kernels.cpu.x86.VectorOp.XOR;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.dropless.kernels.cpu.x86.Assembler.Shift;
import java.util.HexFormat;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every instruction against the bytes that a disassembler (GNU binutils 2.40) reads as the text beside them. */
class AssemblerTest {

    static Stream<Arguments> ymm() {
        return Stream.of(
                row("vmovups ymm13, [rdx+0x40]", "c4617c106a40", a -> a.vector(LOAD, 13, 0, Address.at(Gpr.RDX, 64))),
                row("vmovups ymm3, [r13+0]", "c4c17c105d00", a -> a.vector(LOAD, 3, 0, Address.at(Gpr.R13, 0))),
                row("vmovups ymm9, [rsp]", "c4617c100c24", a -> a.vector(LOAD, 9, 0, Address.at(Gpr.RSP, 0))),
                row(
                        "vmovups [r8+r9*4+0x80], ymm13",
                        "c4017c11ac8880000000",
                        a -> a.vector(STORE, 13, 0, Address.at(Gpr.R8, Gpr.R9, 4, 128))),
                row(
                        "vmovups ymm1, [rbp+rax*8+4]",
                        "c4e17c104cc504",
                        a -> a.vector(LOAD, 1, 0, Address.at(Gpr.RBP, Gpr.RAX, 8, 4))),
                row(
                        "vbroadcastss ymm9, [rsi+0x2040]",
                        "c4627d188e40200000",
                        a -> a.vector(BROADCAST, 9, 0, Address.at(Gpr.RSI, 8256))),
                row(
                        "vbroadcastss ymm2, [r12-0x200]",
                        "c4c27d18942400feffff",
                        a -> a.vector(BROADCAST, 2, 0, Address.at(Gpr.R12, -512))),
                row("vmovntps [rcx+0x20], ymm9", "c4617c2b4920", a -> a.vector(STREAM, 9, 0, Address.at(Gpr.RCX, 32))),
                row("vfmadd231ps ymm13, ymm9, ymm2", "c46235b8ea", a -> a.vector(FMA, 13, 9, 2)),
                row("vfmadd231ps ymm2, ymm13, ymm9", "c4c215b8d1", a -> a.vector(FMA, 2, 13, 9)),
                row(
                        "vfmadd231ps ymm0, ymm7, [r11+rcx-0x40]",
                        "c4c245b8440bc0",
                        a -> a.vector(FMA, 0, 7, Address.at(Gpr.R11, Gpr.RCX, 1, -64))),
                row("vaddps ymm9, ymm13, ymm13", "c4411458cd", a -> a.vector(ADD, 9, 13, 13)),
                row("vmulps ymm1, ymm2, ymm9", "c4c16c59c9", a -> a.vector(MUL, 1, 2, 9)),
                row("vxorps ymm13, ymm13, ymm13", "c4411457ed", a -> a.vector(XOR, 13, 13, 13)),
                row(
                        "vpmovzxwd ymm13, [rdx+0x20]",
                        "c4627d336a20",
                        a -> a.vector(WIDEN_16, 13, 0, Address.at(Gpr.RDX, 32))),
                row(
                        "vpmovsxbd ymm9, [r8+r9*1+8]",
                        "c4027d214c0808",
                        a -> a.vector(WIDEN_8, 9, 0, Address.at(Gpr.R8, Gpr.R9, 1, 8))),
                row(
                        "vcvtph2ps ymm13, [rdi+0x10]",
                        "c4627d136f10",
                        a -> a.vector(WIDEN_F16, 13, 0, Address.at(Gpr.RDI, 16))),
                row(
                        "vcvtps2ph [rcx+0x10], ymm9, 0",
                        "c4637d1d491000",
                        a -> a.vector(STORE_F16, 9, 0, Address.at(Gpr.RCX, 16))),
                row("vcvtdq2ps ymm13, ymm9", "c4417c5be9", a -> a.vector(INT32_TO_FLOAT, 13, 0, 9)),
                row("vpslld ymm13, ymm9, 16", "c4c11572f110", a -> a.shift(Shift.LEFT, 13, 9, 16)),
                row("vpsrld ymm1, ymm9, 31", "c4c17572d11f", a -> a.shift(Shift.RIGHT, 1, 9, 31)));
    }

    static Stream<Arguments> zmm() {
        return Stream.of(
                row("vmovups zmm29, [rdx+0x40]", "62617c48106a01", a -> a.vector(LOAD, 29, 0, Address.at(Gpr.RDX, 64))),
                row("vmovups zmm3, [r13+0]", "62d17c48105d00", a -> a.vector(LOAD, 3, 0, Address.at(Gpr.R13, 0))),
                row("vmovups zmm17, [rsp]", "62e17c48100c24", a -> a.vector(LOAD, 17, 0, Address.at(Gpr.RSP, 0))),
                row(
                        "vmovups [r8+r9*4+0x80], zmm29",
                        "62017c48116c8802",
                        a -> a.vector(STORE, 29, 0, Address.at(Gpr.R8, Gpr.R9, 4, 128))),
                row(
                        "vmovups zmm1, [rbp+rax*8+4]",
                        "62f17c48108cc504000000",
                        a -> a.vector(LOAD, 1, 0, Address.at(Gpr.RBP, Gpr.RAX, 8, 4))),
                row(
                        "vbroadcastss zmm29, [rsi+4]",
                        "62627d48186e01",
                        a -> a.vector(BROADCAST, 29, 0, Address.at(Gpr.RSI, 4))),
                row(
                        "vbroadcastss zmm17, [rsi+0x2040]",
                        "62e27d48188e40200000",
                        a -> a.vector(BROADCAST, 17, 0, Address.at(Gpr.RSI, 8256))),
                row(
                        "vbroadcastss zmm2, [r12-0x200]",
                        "62d27d4818542480",
                        a -> a.vector(BROADCAST, 2, 0, Address.at(Gpr.R12, -512))),
                row(
                        "vbroadcastss zmm2, [r12+6]",
                        "62d27d4818942406000000",
                        a -> a.vector(BROADCAST, 2, 0, Address.at(Gpr.R12, 6))),
                row("vfmadd231ps zmm29, zmm17, zmm2", "62627540b8ea", a -> a.vector(FMA, 29, 17, 2)),
                row("vfmadd231ps zmm2, zmm29, zmm17", "62b21540b8d1", a -> a.vector(FMA, 2, 29, 17)),
                row("vaddps zmm17, zmm29, zmm29", "6281144058cd", a -> a.vector(ADD, 17, 29, 29)),
                row("vpxord zmm29, zmm29, zmm29", "62011540efed", a -> a.vector(XOR, 29, 29, 29)),
                row("vdpbf16ps zmm29, zmm17, zmm30", "6202764052ee", a -> a.vector(DOT_BF16, 29, 17, 30)),
                row("vpdpbusd zmm1, zmm2, zmm31", "62926d4850cf", a -> a.vector(DOT_INT8, 1, 2, 31)),
                row("vpermt2ps zmm1, zmm2, zmm31", "62926d487fcf", a -> a.vector(PERMUTE, 1, 2, 31)),
                row(
                        "vpaddd zmm9, zmm18, [rdi+0x1fc0]",
                        "62716d40fe4f7f",
                        a -> a.vector(ADD_INT32, 9, 18, Address.at(Gpr.RDI, 64 * 127))),
                row(
                        "vpmovzxwd zmm29, [rdx+0x20]",
                        "62627d48336a01",
                        a -> a.vector(WIDEN_16, 29, 0, Address.at(Gpr.RDX, 32))),
                row(
                        "vpmovzxwd zmm3, [r13+0x41]",
                        "62d27d48339d41000000",
                        a -> a.vector(WIDEN_16, 3, 0, Address.at(Gpr.R13, 65))),
                row(
                        "vpmovsxbd zmm17, [r8+r9*1+0x10]",
                        "62827d48214c0801",
                        a -> a.vector(WIDEN_8, 17, 0, Address.at(Gpr.R8, Gpr.R9, 1, 16))),
                row(
                        "vpmovdw [rcx+0x40], zmm29",
                        "62627e48336902",
                        a -> a.vector(STORE_16, 29, 0, Address.at(Gpr.RCX, 64))),
                row(
                        "vcvtph2ps zmm30, [rdi+0x20]",
                        "62627d48137701",
                        a -> a.vector(WIDEN_F16, 30, 0, Address.at(Gpr.RDI, 32))),
                row(
                        "vcvtps2ph [rcx+0x20], zmm1, 0",
                        "62f37d481d490100",
                        a -> a.vector(STORE_F16, 1, 0, Address.at(Gpr.RCX, 32))),
                row("vcvtdq2ps zmm29, zmm17", "62217c485be9", a -> a.vector(INT32_TO_FLOAT, 29, 0, 17)),
                row("vpslld zmm29, zmm17, 16", "62b1154072f110", a -> a.shift(Shift.LEFT, 29, 17, 16)),
                row("vpsrld zmm1, zmm30, 31", "6291754872d61f", a -> a.shift(Shift.RIGHT, 1, 30, 31)),
                row("vprold zmm18, zmm9, 16", "62d16d4072c910", a -> a.shift(Shift.ROTATE, 18, 9, 16)),
                row("vpandd zmm1, zmm17, zmm30", "62917540dbce", a -> a.vector(AND, 1, 17, 30)),
                row("vpord zmm29{k1}, zmm0, zmm31", "62017d49ebef", a -> a.masked(OR, 1, 29, 0, 31)),
                row("vpternlogd zmm29, zmm29, zmm29, 0xff", "6203154025edff", a -> a.vector(ONES, 29, 29, 29)),
                row("vcmpunordps k1, zmm17, zmm29", "62917440c2cd03", a -> a.vector(IS_NAN, 1, 17, 29)),
                row("vsubps zmm30, zmm4, zmm17", "62215c485cf1", a -> a.vector(SUB, 30, 4, 17)),
                row("vdivps zmm5, zmm21, zmm4", "62f154405eec", a -> a.vector(DIV, 5, 21, 4)),
                row("vminps zmm1, zmm24, zmm16", "62b13c405dc8", a -> a.vector(MIN, 1, 24, 16)),
                row("vmaxps zmm19, zmm12, zmm3", "62e11c485fdb", a -> a.vector(MAX, 19, 12, 3)),
                row("vfmadd213ps zmm5, zmm19, zmm31", "62926540a8ef", a -> a.vector(FMA_ONTO, 5, 19, 31)),
                row("vscalefps zmm3, zmm21, zmm12", "62d255402cdc", a -> a.vector(SCALE, 3, 21, 12)),
                row("vcmpeqps k1, zmm19, zmm28", "62916440c2cc00", a -> a.vector(IS_EQUAL, 1, 19, 28)),
                row("vcmpge_oqps k1, zmm2, zmm28", "62916c48c2cc1d", a -> a.vector(IS_AT_LEAST, 1, 2, 28)),
                row("vcmpgt_oqps k1, zmm20, zmm28", "62915c40c2cc1e", a -> a.vector(IS_GREATER, 1, 20, 28)),
                row("valignd zmm2, zmm10, zmm10, 8", "62d32d4803d208", a -> a.vector(ROTATE_LANES_8, 2, 10, 10)),
                row("valignd zmm18, zmm30, zmm30, 4", "62830d4003d604", a -> a.vector(ROTATE_LANES_4, 18, 30, 30)),
                row("valignd zmm2, zmm10, zmm10, 2", "62d32d4803d202", a -> a.vector(ROTATE_LANES_2, 2, 10, 10)),
                row("valignd zmm2, zmm10, zmm10, 1", "62d32d4803d201", a -> a.vector(ROTATE_LANES_1, 2, 10, 10)),
                row(
                        "vmovss [r11+8], xmm10",
                        "62517e48115302",
                        a -> a.vector(STORE_LANE, 10, 0, Address.at(Gpr.R11, 8))),
                row("vmovups zmm5{k1}, zmm23", "62b17c4910ef", a -> a.masked(LOAD, 1, 5, 0, 23)));
    }

    static Stream<Arguments> general() {
        return Stream.of(
                row("prefetcht1 [rcx]", "0f1811", a -> a.prefetch(Address.at(Gpr.RCX, 0))),
                row("prefetcht1 [r9+0x100]", "410f189100010000", a -> a.prefetch(Address.at(Gpr.R9, 256))),
                row("prefetchw [r11+0x40]", "410f0d4b40", a -> a.prefetchForWrite(Address.at(Gpr.R11, 64))),
                row("prefetchw [rax+0x2000]", "0f0d8800200000", a -> a.prefetchForWrite(Address.at(Gpr.RAX, 8192))),
                row("sub rax, rcx", "4829c8", a -> a.subtract(Gpr.RAX, Gpr.RCX)),
                row("sub r12, r13", "4d29ec", a -> a.subtract(Gpr.R12, Gpr.R13)),
                row("mov r12, 0x20", "49c7c420000000", a -> a.move(Gpr.R12, 32)),
                row("mov rax, -1", "48c7c0ffffffff", a -> a.move(Gpr.RAX, -1)),
                row("add rsi, 4", "4883c604", a -> a.add(Gpr.RSI, 4)),
                row("add r12, 0x80", "4981c480000000", a -> a.add(Gpr.R12, 128)),
                row("add r8, rcx", "4901c8", a -> a.add(Gpr.R8, Gpr.RCX)),
                row("mov rbx, r10", "4c89d3", a -> a.move(Gpr.RBX, Gpr.R10)),
                row("mov r10, [rsp+8]", "4c8b542408", a -> a.load(Gpr.R10, Address.at(Gpr.RSP, 8))),
                row("mov [r8+0xc], edx", "4189500c", a -> a.store32(Address.at(Gpr.R8, 12), Gpr.RDX)),
                row("mov [rax], r9d", "448908", a -> a.store32(Address.at(Gpr.RAX, 0), Gpr.R9)),
                row(
                        "lea r11, [rsi+r10*2]",
                        "4e8d1c56",
                        a -> a.loadAddress(Gpr.R11, Address.at(Gpr.RSI, Gpr.R10, 2, 0))),
                row("dec r15", "49ffcf", a -> a.decrement(Gpr.R15)),
                row("jne -20", "75ea", a -> a.jumpIfNotZero(a.position() - 20)),
                row("jne -1000", "0f8518fcffff", a -> a.jumpIfNotZero(a.position() - 994)),
                row("push r12; pop r12; push rbx; pop rbx", "4154415c535b", a -> {
                    a.push(Gpr.R12);
                    a.pop(Gpr.R12);
                    a.push(Gpr.RBX);
                    a.pop(Gpr.RBX);
                }),
                row("cpuid; xgetbv; vzeroupper; ret", "0fa20f01d0c5f877c3", a -> {
                    a.cpuid();
                    a.xgetbv();
                    a.returnFromVectorCode();
                }));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("ymm")
    void encodesVex(String text, String hex, Consumer<Assembler> emit) {
        assertEquals(hex, encode(Assembler.Width.YMM, emit), text);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("zmm")
    void encodesEvex(String text, String hex, Consumer<Assembler> emit) {
        assertEquals(hex, encode(Assembler.Width.ZMM, emit), text);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("general")
    void encodesGeneral(String text, String hex, Consumer<Assembler> emit) {
        assertEquals(hex, encode(Assembler.Width.YMM, emit), text);
    }

    @Test
    void refusesRegistersThatTheEncodingLacks() {
        Assembler assembler = new Assembler(Assembler.Width.YMM);
        assertThrows(IllegalArgumentException.class, () -> assembler.vector(FMA, 16, 0, 0));
        assertThrows(IllegalArgumentException.class, () -> assembler.vector(FMA, 0, -1, 0));
        assertThrows(IllegalArgumentException.class, () -> assembler.vector(LOAD, 0, 1, Address.at(Gpr.RAX, 0)));
        assertThrows(IllegalArgumentException.class, () -> Address.at(Gpr.RAX, Gpr.RSP, 1, 0));
        assertThrows(IllegalArgumentException.class, () -> Address.at(Gpr.RAX, Gpr.RCX, 3, 0));
    }

    @Test
    void alignsWithCodeThatTraps() {
        Assembler assembler = new Assembler(Assembler.Width.YMM);
        assembler.ret();
        assembler.align(4);
        assertEquals("c3cccccc", HexFormat.of().formatHex(assembler.toByteArray()));
    }

    private static String encode(Assembler.Width width, Consumer<Assembler> emit) {
        Assembler assembler = new Assembler(width);
        emit.accept(assembler);
        return HexFormat.of().formatHex(assembler.toByteArray());
    }

    private static Arguments row(String text, String hex, Consumer<Assembler> emit) {
        return Arguments.of(text, hex, emit);
    }
}
