package dev.dropless.moe;

import dev.dropless.blocksparse.ElementType;
import dev.dropless.blocksparse.Matrix;
import dev.dropless.blocksparse.spi.Kernels;
import dev.dropless.moe.loss.LossValue;
import dev.dropless.moe.router.Routing;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A mixture-of-experts layer, forward and backward, as {@link MoeConfig} describes it. No token is dropped and no expert is padded, unless the layer is
 * given another {@link ExpertExecution} or a router with a capacity.
 *
 * <p>Callers own x, y, dY, dX, parameters and gradients; the layer owns its scratch memory for the duration of a call, and nothing else. Matrices lie in
 * the back end's memory and may have any element type and row stride; outputs must not overlap inputs. Results are identical, bit for bit, for any number of
 * threads and from run to run.
 *
 * <p>Safe for use by several threads at once, with separate outputs, saved states and gradients, as long as nobody writes the parameters.
 *
 * <p>Source: MegaBlocks (arXiv 2211.15841), sections 4 and 5; the backward pass is that of SonicMoE (arXiv 2512.14080).
 */
public final class MoeLayer implements AutoCloseable {

    private final MoeConfig config;
    private final MoeParameters parameters;
    private final boolean ownsParameters;
    private final LayerPass.Parts parts;

    /**
     * A dropless layer with new parameters, all zero, that it owns.
     *
     * @param kernels computes; closed by the caller, after this layer
     * @param config what to compute
     * @param precision in which types to store parameters and activations
     * @return the layer; the caller closes it
     * @throws IllegalArgumentException if the back end cannot store a type, or works in a memory this configuration is not supported in
     */
    public static MoeLayer create(Kernels kernels, MoeConfig config, Precision precision) {
        checkOperations(kernels, config);
        MoeParameters parameters = new MoeParameters(kernels, config, precision);
        return new MoeLayer(kernels, config, parameters, true, dropless(kernels, config, parameters));
    }

    /**
     * A layer over existing parameters with a given way of computing the routed experts.
     *
     * @param kernels computes; closed by the caller, after this layer
     * @param config what to compute
     * @param parameters the parameters; closed by their owner, after this layer
     * @param routed computes the routed experts; owned and closed by this layer
     * @return the layer; the caller closes it
     * @throws IllegalArgumentException if the parameters or the execution were made for another configuration
     */
    public static MoeLayer over(Kernels kernels, MoeConfig config, MoeParameters parameters, ExpertExecution routed) {
        if (!parameters.config().equals(config)) {
            throw new IllegalArgumentException(
                    "parameters: expected those of the configuration given, found those of another");
        }
        if (!routed.shape().equals(config.experts())) {
            throw new IllegalArgumentException(
                    "routed.shape: expected %s, found %s".formatted(config.experts(), routed.shape()));
        }
        checkOperations(kernels, config);
        return new MoeLayer(kernels, config, parameters, false, routed);
    }

    private MoeLayer(
            Kernels kernels,
            MoeConfig config,
            MoeParameters parameters,
            boolean ownsParameters,
            ExpertExecution routed) {
        DeviceRule.Decision place = DeviceRule.of(kernels, config, routed instanceof DroplessExecution);
        this.config = config;
        this.parameters = parameters;
        this.ownsParameters = ownsParameters;
        SharedExpert shared = config.shared();
        DroplessExecution sharedExecution = shared == null || parameters.shared() == null
                ? null
                : new DroplessExecution(
                        kernels,
                        parameters.shared(),
                        shared.activation(),
                        parameters.precision().activations());
        this.parts = new LayerPass.Parts(
                kernels,
                config,
                parameters,
                routed,
                sharedExecution,
                new RouterStage(kernels, config, parameters, place));
    }

    private static ExpertExecution dropless(Kernels kernels, MoeConfig config, MoeParameters parameters) {
        return new DroplessExecution(
                kernels,
                parameters.experts(),
                config.activation(),
                parameters.precision().activations());
    }

    /** Refuses what the back end has no operations for. */
    private static void checkOperations(Kernels kernels, MoeConfig config) {
        SharedExpert shared = config.shared();
        boolean elementwise = config.inputJitter().epsilon() > 0 || (shared != null && shared.sigmoidGate());
        if (elementwise && kernels.elementwise() == null) {
            throw new IllegalArgumentException(
                    "kernels: expected elementwise operations for a shared gate or input jitter, found none in "
                            + kernels.memory().space());
        }
    }

    /**
     * Returns what this layer computes.
     *
     * @return the configuration
     */
    public MoeConfig config() {
        return config;
    }

    /**
     * Returns the parameters.
     *
     * @return the parameters, in use
     */
    public MoeParameters parameters() {
        return parameters;
    }

    /**
     * Says where routing decisions are made. Where the back end makes them, {@link #infer}, {@link #forwardTraining} and a {@link #backward} without loss terms copy nothing
     * between host and device and wait for nothing; input jitter alone still comes from the host.
     *
     * @return the back end's memory, or "host: " and what the back end's routing kernels do not support
     */
    public String routingPlace() {
        return parts.router().place();
    }

    /**
     * Allocates gradients for this layer, all zero.
     *
     * @param trainable which groups
     * @param type stored type
     * @return the gradients; the caller closes them
     */
    public MoeGradients newGradients(Set<Trainable> trainable, ElementType type) {
        return new MoeGradients(parts.kernels(), config, trainable, type);
    }

    /**
     * Computes the layer, keeping and telling nothing.
     *
     * @param x tokens, [T, hiddenSize], T 0 or more
     * @param y receives the result, [T, hiddenSize]
     * @param options what else there is to know about the batch
     * @throws IllegalArgumentException as {@link #forward}
     */
    public void infer(Matrix x, Matrix y, ForwardOptions options) {
        try (LayerPass pass = open(x, y, options)) {
            pass.forward(y);
        }
    }

    private LayerPass open(Matrix x, Matrix y, ForwardOptions options) {
        checkForward(x, y, options);
        return new LayerPass(parts, x, options, MemoryPolicy.RECOMPUTE_UP_PROJECTION, EnumSet.noneOf(Trainable.class));
    }

    /**
     * Computes the layer, keeping nothing. Where the back end routes, the decision is copied to the host; {@link #infer} leaves it there.
     *
     * @param x tokens, [T, hiddenSize], T 0 or more
     * @param y receives the result, [T, hiddenSize]
     * @param options what else there is to know about the batch
     * @return the router's decision
     * @throws IllegalArgumentException if a shape or a memory space is wrong, or T is not a multiple of {@code options.batch}
     */
    public Routing forward(Matrix x, Matrix y, ForwardOptions options) {
        try (LayerPass pass = open(x, y, options)) {
            pass.forward(y);
            return pass.routing().onHost();
        }
    }

    /**
     * Computes the layer and keeps what {@link #backward} needs.
     *
     * @param x tokens, [T, hiddenSize]; must stay valid and unchanged until backward
     * @param y receives the result, [T, hiddenSize]
     * @param options what else there is to know about the batch
     * @param policy what to keep rather than compute again
     * @param trainable what backward will be asked for
     * @return the saved state; the caller closes it or hands it to backward
     * @throws IllegalArgumentException as {@link #forward}, and if anything is trainable although the experts are in 8 bits
     */
    public SavedState forwardTraining(
            Matrix x, Matrix y, ForwardOptions options, MemoryPolicy policy, Set<Trainable> trainable) {
        checkForward(x, y, options);
        if (parameters().precision().int8Experts() && !trainable.isEmpty()) {
            throw new IllegalArgumentException(
                    "trainable: expected none because the experts are in 8 bits, which serve the forward pass only, found "
                            + trainable);
        }
        LayerPass pass = new LayerPass(parts, x, options, policy, Set.copyOf(trainable));
        boolean done = false;
        try {
            pass.forward(y);
            done = true;
        } finally {
            if (!done) {
                pass.close();
            }
        }
        return new SavedState(this, pass);
    }

    /**
     * Computes the gradients of sum(y * dY) plus the auxiliary losses. Products that only a frozen group needs are not computed.
     *
     * @param saved what {@link #forwardTraining} of this layer returned; consumed
     * @param dY gradient of y, [T, hiddenSize]; read only
     * @param dX receives the gradient of x, [T, hiddenSize]; null if not wanted. Needs {@link Trainable#INPUT}
     * @param gradients added to: the groups that were trainable; null if there were none
     * @param lossTerms gradients of auxiliary losses of {@link SavedState#routing}, coefficients included; may be empty
     * @throws IllegalArgumentException if a shape or a memory space is wrong, a gradient is missing, or {@code saved} is another layer's; {@code saved}
     *     is not consumed then
     * @throws IllegalStateException if {@code saved} was used or closed
     */
    public void backward(
            SavedState saved,
            Matrix dY,
            @Nullable Matrix dX,
            @Nullable MoeGradients gradients,
            List<LossValue> lossTerms) {
        if (!saved.belongsTo(this)) {
            throw new IllegalArgumentException("saved: expected a state of this layer, found one of another layer");
        }
        int tokens = saved.tokens();
        checkTokens("dY", dY, tokens);
        if (dX != null) {
            checkTokens("dX", dX, tokens);
            if (!saved.trainable().contains(Trainable.INPUT)) {
                throw new IllegalArgumentException(
                        "dX: expected null because the input is frozen, found " + dX.describe());
            }
        }
        checkGradients(saved.trainable(), gradients);
        parts.router().checkLosses(tokens, lossTerms);
        try (LayerPass pass = saved.take()) {
            pass.backward(dY, dX, gradients, lossTerms);
        }
    }

    private void checkForward(Matrix x, Matrix y, ForwardOptions options) {
        if (x.rows() > Integer.MAX_VALUE / config.topK()) {
            throw new IllegalArgumentException("x: expected at most %d tokens of topK = %d slots, found %s"
                    .formatted(Integer.MAX_VALUE / config.topK(), config.topK(), x.describe()));
        }
        checkTokens("x", x, x.rows());
        checkTokens("y", y, x.rows());
        if (x.rows() % options.batch() != 0) {
            throw new IllegalArgumentException("options.batch: expected a divisor of the %d tokens, found %d"
                    .formatted(x.rows(), options.batch()));
        }
    }

    private void checkTokens(String argument, Matrix matrix, long tokens) {
        if (matrix.rows() != tokens || matrix.columns() != config.hiddenSize()) {
            throw new IllegalArgumentException("%s: expected [%d, %d], found %s"
                    .formatted(argument, tokens, config.hiddenSize(), matrix.describe()));
        }
        if (!matrix.space().equals(parts.kernels().memory().space())) {
            throw new IllegalArgumentException("%s: expected memory %s, found %s"
                    .formatted(argument, parts.kernels().memory().space(), matrix.space()));
        }
    }

    private void checkGradients(Set<Trainable> trainable, @Nullable MoeGradients gradients) {
        if (gradients != null && !gradients.config().equals(config)) {
            throw new IllegalArgumentException(
                    "gradients: expected those of this layer's configuration, found those of another");
        }
        for (Trainable group : trainable) {
            if (config.has(group) && (gradients == null || !gradients.covers(group))) {
                throw new IllegalArgumentException("gradients: expected tensors for %s, found none".formatted(group));
            }
        }
    }

    /** Frees what the layer owns: its parameters, if it made them. A second call does nothing. */
    @Override
    public void close() {
        parts.routed().close();
        if (ownsParameters) {
            parameters.close();
        }
    }
}
