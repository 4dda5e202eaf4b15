package dev.dropless.benchmarks.peers;

import dev.dropless.benchmarks.MoeShape;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;

/**
 * An ONNX model of one node, written as protocol buffers by hand: a message is a sequence of (field number, wire type)
 * tags and values. Field numbers are those of onnx.proto3.
 */
final class OnnxModel {

    private static final int VARINT = 0;
    private static final int BYTES = 2;
    private static final int FIXED32 = 5;
    private static final int FLOAT_TENSOR = 1;

    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

    private OnnxModel() {}

    /**
     * A graph y = MoE(x, router, up, down) with its weights as inputs.
     *
     * @param shape sizes and activation
     * @param tokens T
     * @return the serialised model
     */
    static byte[] moe(MoeShape shape, int tokens) {
        int h = shape.hiddenSize();
        int f = shape.ffnHiddenSize();
        int e = shape.numExperts();
        int p = shape.experts().preActivations();
        OnnxModel node = new OnnxModel()
                .text(1, "x")
                .text(1, "router")
                .text(1, "up")
                .text(1, "")
                .text(1, "down")
                .text(2, "y")
                .text(4, "MoE")
                .text(7, "com.microsoft")
                .message(5, integer("k", shape.topK()))
                .message(5, string("activation_type", shape.gated() ? "swiglu" : "gelu"))
                .message(5, integer("normalize_routing_weights", 1));
        if (shape.gated()) {
            node.message(5, integer("swiglu_fusion", 1))
                    .message(5, real("activation_alpha", 1f))
                    .message(5, real("activation_beta", 0f))
                    .message(5, real("swiglu_limit", Float.POSITIVE_INFINITY));
        }
        OnnxModel graph = new OnnxModel()
                .message(1, node)
                .text(2, "moe")
                .message(11, tensor("x", tokens, h))
                .message(11, tensor("router", tokens, e))
                .message(11, tensor("up", e, p, h))
                .message(11, tensor("down", e, h, f))
                .message(12, tensor("y", tokens, h));
        return new OnnxModel()
                .number(1, 8)
                .message(7, graph)
                .message(8, new OnnxModel().text(1, "").number(2, 17))
                .message(8, new OnnxModel().text(1, "com.microsoft").number(2, 1))
                .bytes
                .toByteArray();
    }

    private static OnnxModel tensor(String name, long... sizes) {
        OnnxModel shape = new OnnxModel();
        for (long size : sizes) {
            shape.message(1, new OnnxModel().number(1, size));
        }
        OnnxModel type = new OnnxModel().number(1, FLOAT_TENSOR).message(2, shape);
        return new OnnxModel().text(1, name).message(2, new OnnxModel().message(1, type));
    }

    private static OnnxModel real(String name, float value) {
        return new OnnxModel().text(1, name).fixed(2, value).number(20, 1);
    }

    private static OnnxModel integer(String name, long value) {
        return new OnnxModel().text(1, name).number(3, value).number(20, 2);
    }

    private static OnnxModel string(String name, String value) {
        return new OnnxModel().text(1, name).text(4, value).number(20, 3);
    }

    private OnnxModel number(int field, long value) {
        varint((long) field << 3 | VARINT);
        varint(value);
        return this;
    }

    private OnnxModel fixed(int field, float value) {
        varint((long) field << 3 | FIXED32);
        int bits = Float.floatToIntBits(value);
        for (int shift = 0; shift < 32; shift += 8) {
            bytes.write(bits >>> shift);
        }
        return this;
    }

    private OnnxModel text(int field, String value) {
        return raw(field, value.getBytes(StandardCharsets.UTF_8));
    }

    private OnnxModel message(int field, OnnxModel value) {
        return raw(field, value.bytes.toByteArray());
    }

    private OnnxModel raw(int field, byte[] value) {
        varint((long) field << 3 | BYTES);
        varint(value.length);
        bytes.writeBytes(value);
        return this;
    }

    private void varint(long value) {
        long rest = value;
        while ((rest & ~0x7FL) != 0) {
            bytes.write((int) (rest & 0x7F | 0x80));
            rest >>>= 7;
        }
        bytes.write((int) rest);
    }
}
