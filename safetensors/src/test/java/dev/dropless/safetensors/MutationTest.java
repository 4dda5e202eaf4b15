package dev.dropless.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Random damage to a good file is either noticed or harmless, and never anything but a {@link SafetensorsException}. */
class MutationTest {

    private static final int FILES = 3_000;
    private static final int HEADERS = 30_000;
    private static final String INTERESTING = "{}[]\",:\\-+.eE0123456789 \n\0\u007fnulltrue_FIBUaZ";

    @TempDir
    Path dir;

    @Test
    void damagedFiles() throws Exception {
        byte[] valid = valid();
        Random random = new Random(20_251);
        Path file = dir.resolve("damaged.safetensors");
        int refused = 0;
        for (int i = 0; i < FILES; i++) {
            byte[] damaged = damage(valid, random);
            // Replaced, not overwritten: nobody may shorten a file that is mapped.
            Files.deleteIfExists(file);
            Files.write(file, damaged);
            refused += readsOrRefuses(file, damaged) ? 0 : 1;
        }
        assertThat(refused).isBetween(FILES / 4, FILES - 1);
    }

    @Test
    void damagedHeaders() throws Exception {
        byte[] valid = valid();
        Random random = new Random(20_252);
        int refused = 0;
        for (int i = 0; i < HEADERS; i++) {
            byte[] damaged = damage(Arrays.copyOfRange(valid, 8, valid.length - 28), random);
            String text = new String(damaged, StandardCharsets.UTF_8);
            try {
                Header header = HeaderReader.parse("memory", text, 28);
                assertThat(header.entries().values()).allMatch(e -> 0 <= e.begin && e.begin <= e.end && e.end <= 28);
            } catch (SafetensorsException e) {
                requireOneLine(e, damaged);
                refused++;
            }
        }
        assertThat(refused).isBetween(HEADERS / 4, HEADERS - 1);
    }

    private static boolean readsOrRefuses(Path file, byte[] damaged) {
        try (SafetensorsFile read = SafetensorsFile.open(file)) {
            long bytes = 0;
            for (String name : read.names()) {
                TensorView tensor = read.tensor(name);
                assertThat(tensor.type().byteSize(tensor.shape())).isEqualTo(Bytes.of(tensor).length);
                bytes += tensor.data().byteSize();
            }
            assertThat(bytes).isLessThan(damaged.length);
            return true;
        } catch (SafetensorsException e) {
            requireOneLine(e, damaged);
            return false;
        } catch (RuntimeException e) {
            return fail("damaged to " + new String(damaged, StandardCharsets.ISO_8859_1), e);
        }
    }

    private static void requireOneLine(SafetensorsException e, byte[] damaged) {
        assertThat(e.getMessage().chars())
                .as("message for %s", new String(damaged, StandardCharsets.ISO_8859_1))
                .noneMatch(Character::isISOControl);
    }

    private static byte[] valid() {
        String header = "{\"__metadata__\":{\"format\":\"pt\",\"größe\":\"\\u00e9\\n\"},"
                + Bytes.entry("a.weight", "F32", "[2,3]", "[0,24]") + ","
                + Bytes.entry("b", "I16", "[]", "[24,26]") + ","
                + Bytes.entry("empty", "F64", "[0,7]", "[26,26]") + ","
                + Bytes.entry("c", "BOOL", "[2]", "[26,28]") + "}   ";
        return Bytes.file(header, 28);
    }

    /** One to three edits: flip, overwrite, insert, delete, duplicate a stretch, or cut the end. */
    private static byte[] damage(byte[] valid, Random random) {
        byte[] bytes = valid.clone();
        for (int edits = 1 + random.nextInt(3); edits > 0 && bytes.length > 0; edits--) {
            int at = random.nextInt(bytes.length);
            int length = Math.min(1 + random.nextInt(12), bytes.length - at);
            switch (random.nextInt(6)) {
                case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
                case 1 -> bytes[at] = interesting(random);
                case 2 -> bytes = splice(bytes, at, at, new byte[] {interesting(random)});
                case 3 -> bytes = splice(bytes, at, at + length, new byte[0]);
                case 4 -> bytes = splice(bytes, at, at, Arrays.copyOfRange(bytes, at, at + length));
                default -> bytes = random.nextInt(4) == 0 ? Arrays.copyOf(bytes, at) : bytes;
            }
        }
        return bytes;
    }

    private static byte interesting(Random random) {
        return (byte) INTERESTING.charAt(random.nextInt(INTERESTING.length()));
    }

    private static byte[] splice(byte[] bytes, int from, int to, byte[] replacement) {
        byte[] result = new byte[bytes.length - (to - from) + replacement.length];
        System.arraycopy(bytes, 0, result, 0, from);
        System.arraycopy(replacement, 0, result, from, replacement.length);
        System.arraycopy(bytes, to, result, from + replacement.length, bytes.length - to);
        return result;
    }
}
