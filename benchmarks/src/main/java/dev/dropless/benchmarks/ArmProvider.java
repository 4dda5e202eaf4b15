package dev.dropless.benchmarks;

import java.util.ArrayList;
import java.util.List;
import java.util.ServiceLoader;
import org.jspecify.annotations.Nullable;

/** Arms from one source: this library, or a peer. Found through {@link ServiceLoader}. */
public interface ArmProvider {

    /**
     * Lists the arms, in the order of reports.
     *
     * @param task what is to be computed
     * @return names
     */
    List<String> arms(Task task);

    /**
     * Tells why an arm cannot compute a task here.
     *
     * @param arm one of {@link #arms}
     * @param task what is to be computed
     * @return the cause, or null if it can
     */
    @Nullable
    String unavailable(String arm, Task task);

    /**
     * Takes memory and threads, and loads the operands.
     *
     * @param arm an available one
     * @param task what is to be computed
     * @return the arm; the caller closes it
     */
    Arm open(String arm, Task task);

    /**
     * Lists the sources: this library first.
     *
     * @return all that are on the class path
     */
    static List<ArmProvider> all() {
        List<ArmProvider> all = new ArrayList<>(List.of(new OwnArms()));
        ServiceLoader.load(ArmProvider.class).forEach(all::add);
        return all;
    }

    /**
     * Finds the source of an arm.
     *
     * @param arm its name
     * @param task what is to be computed
     * @return the source
     * @throws IllegalArgumentException if no source has it; the message lists those there are
     */
    static ArmProvider of(String arm, Task task) {
        return all().stream()
                .filter(provider -> provider.arms(task).contains(arm))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("arm: expected one of %s, found \"%s\""
                        .formatted(
                                String.join(
                                        ", ",
                                        all().stream()
                                                .flatMap(provider -> provider.arms(task).stream())
                                                .toList()),
                                arm)));
    }
}
