package dev.dropless.moe;

import dev.dropless.moe.router.Routing;
import dev.dropless.topology.Topology;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * What {@link MoeLayer#forwardTraining} keeps for {@link MoeLayer#backward}: routing, topology, and what the memory policy says. It refers to the input x
 * without copying it: x must stay valid and unchanged until backward.
 *
 * <p>Used once. {@link MoeLayer#backward} consumes and closes it; closing it without a backward is fine.
 */
public final class SavedState implements AutoCloseable {

    private final MoeLayer layer;
    private final int tokens;
    private final Set<Trainable> trainable;
    private final AtomicReference<@Nullable LayerPass> pass;
    private @Nullable Routing routing;
    private @Nullable Topology topology;

    SavedState(MoeLayer layer, LayerPass pass) {
        this.layer = layer;
        this.tokens = pass.routing().tokens();
        if (pass.routing().isOnHost()) {
            this.routing = pass.routing().onHost();
            this.topology = pass.routedBatch().topology();
        }
        this.trainable = pass.trainable();
        this.pass = new AtomicReference<>(pass);
    }

    /**
     * Returns the router's decision, which auxiliary losses and statistics are computed from. Where the back end routes ({@link MoeLayer#routingPlace}) the first call
     * copies it to the host, waiting for the device.
     *
     * @return the routing; valid also after this state was used
     * @throws IllegalStateException if the back end routed, and this state was used or closed before the first call
     */
    public synchronized Routing routing() {
        if (routing == null) {
            routing = live("routing").routing().onHost();
        }
        return routing;
    }

    /**
     * Returns which slots the routed experts computed. Copied on the first call as {@link #routing} is.
     *
     * @return the topology, without identity experts and dropped slots; valid also after this state was used
     * @throws IllegalStateException as {@link #routing}
     */
    public synchronized Topology topology() {
        if (topology == null) {
            topology = live("topology").routedBatch().topology();
        }
        return topology;
    }

    private LayerPass live(String wanted) {
        LayerPass live = pass.get();
        if (live == null) {
            throw new IllegalStateException(
                    wanted + ": expected to be asked for before the state is used, found that the device has freed it");
        }
        return live;
    }

    int tokens() {
        return tokens;
    }

    Set<Trainable> trainable() {
        return trainable;
    }

    boolean belongsTo(MoeLayer other) {
        return layer == other;
    }

    /** Takes the pass out, once. */
    LayerPass take() {
        LayerPass taken = pass.getAndSet(null);
        if (taken == null) {
            throw new IllegalStateException(
                    "saved: expected a state not used before, found one that was used or closed");
        }
        return taken;
    }

    /** Frees what is kept. A second call, or a call after backward, does nothing. */
    @Override
    public void close() {
        LayerPass unused = pass.getAndSet(null);
        if (unused != null) {
            unused.close();
        }
    }
}
