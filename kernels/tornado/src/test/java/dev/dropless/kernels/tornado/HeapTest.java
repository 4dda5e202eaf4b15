package dev.dropless.kernels.tornado;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Allocations are apart, aligned, and come back whole. */
class HeapTest {

    private record Part(int offset, int count) {}

    @Test
    void partsInUseNeverOverlap() {
        Random random = new Random(3);
        Heap heap = new Heap(1 << 12);
        List<Part> parts = new ArrayList<>();
        for (int step = 0; step < 2000; step++) {
            if (!parts.isEmpty() && random.nextBoolean()) {
                heap.give(parts.remove(random.nextInt(parts.size())).offset());
                continue;
            }
            int count = random.nextInt(200);
            int offset = heap.take(count);
            if (offset < 0) {
                heap.grow(heap.lengthFor(count));
                offset = heap.take(count);
            }
            int begin = offset;
            assertThat(begin).isPositive();
            assertThat(begin % Heap.ALIGNMENT).isZero();
            assertThat(begin + count).isLessThanOrEqualTo(heap.length());
            assertThat(parts).noneMatch(p -> begin < p.offset() + p.count() && p.offset() < begin + count);
            parts.add(new Part(begin, count));
        }
        assertThat(heap.allocations()).isEqualTo(parts.size());
        parts.forEach(p -> heap.give(p.offset()));
        assertThat(heap.allocations()).isZero();
        assertThat(heap.take(heap.length() - Heap.ALIGNMENT)).isEqualTo(Heap.ALIGNMENT);
    }

    @Test
    void whatNoArrayHoldsIsRefused() {
        Heap heap = new Heap(1 << 12);
        assertThatIllegalStateException()
                .isThrownBy(() -> heap.lengthFor(1L << 31))
                .withMessageContaining("expected at most 2147483")
                .withMessageContaining("found 4096 in use");
    }

    @Test
    void whatWasNotTakenCannotBeGivenBack() {
        assertThatIllegalStateException().isThrownBy(() -> new Heap(1 << 12).give(16));
    }
}
