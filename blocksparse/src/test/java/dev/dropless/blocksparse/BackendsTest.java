package dev.dropless.blocksparse;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.dropless.blocksparse.spi.Availability;
import dev.dropless.blocksparse.spi.BackendOptions;
import dev.dropless.blocksparse.spi.Backends;
import dev.dropless.blocksparse.spi.KernelBackend;
import org.junit.jupiter.api.Test;

class BackendsTest {

    @Test
    void theReferenceIsFoundAndChosenWhereItIsAlone() {
        assertEquals(1, Backends.all().size());
        KernelBackend backend = Backends.choose();
        assertEquals("reference", backend.name());
        assertEquals(0, backend.priority());
        assertTrue(backend.availability().isAvailable());
        assertEquals("reference", backend.open(BackendOptions.defaults()).name());
    }

    @Test
    void unknownNamesAreRefusedWithAList() {
        String message = assertThrows(IllegalArgumentException.class, () -> Backends.byName("abacus"))
                .getMessage();
        assertEquals("backend: expected one of reference, found \"abacus\"", message);
    }

    @Test
    void optionsAreChecked() {
        assertThrows(IllegalArgumentException.class, () -> new BackendOptions(0, 0));
        assertThrows(IllegalArgumentException.class, () -> new BackendOptions(1, -1));
        Availability unavailable = Availability.unavailable("no such hardware");
        assertEquals("no such hardware", unavailable.cause());
    }
}
