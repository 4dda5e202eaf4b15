package dev.dropless.testdata;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TestDataTest {

    @TempDir
    Path checkout;

    @Test
    void theBuildNamesAnExistingFolder() {
        assertThat(TestData.directory()).isAbsolute().isDirectory().endsWith(Path.of("test-data", "data"));
        assertThat(TestData.path("README.md")).isRegularFile();
    }

    @Test
    void parentsOfTheWorkingDirectoryAreSearched() throws IOException {
        Path data = Files.createDirectories(checkout.resolve("test-data/data"));
        Path module = Files.createDirectories(checkout.resolve("kernels/cpu"));
        assertThat(TestData.directory(null, module)).isEqualTo(data);
        assertThat(TestData.directory(null, checkout)).isEqualTo(data);
    }

    @Test
    void aWrongPropertyIsReportedAndNotRepaired() {
        String missing = checkout.resolve("missing").toString();
        assertThatExceptionOfType(IllegalStateException.class)
                .isThrownBy(() -> TestData.directory(missing, checkout))
                .withMessageContaining(TestData.PROPERTY)
                .withMessageContaining(missing);
    }

    @Test
    void aMissingFolderSaysHowToNameOne() {
        assertThatExceptionOfType(IllegalStateException.class)
                .isThrownBy(() -> TestData.directory(null, checkout))
                .withMessageContaining("-D" + TestData.PROPERTY);
    }

    @Test
    void pathsMustExistAndStayInside() throws IOException {
        Files.writeString(checkout.resolve("outside.txt"), "x");
        Path data = Files.createDirectories(checkout.resolve("data"));
        Path inside = Files.writeString(data.resolve("case.txt"), "x");
        assertThat(TestData.path(data, "case.txt")).isEqualTo(inside);
        assertThatExceptionOfType(IllegalArgumentException.class)
                .isThrownBy(() -> TestData.path(data, "../outside.txt"))
                .withMessageContaining("below");
        assertThatExceptionOfType(IllegalArgumentException.class)
                .isThrownBy(() -> TestData.path(data, "missing.txt"))
                .withMessageContaining("missing.txt");
    }
}
