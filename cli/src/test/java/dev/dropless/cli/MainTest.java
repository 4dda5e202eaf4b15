package dev.dropless.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

class MainTest {

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int run(String... args) {
        CommandLine commandLine = Main.commandLine();
        commandLine.setOut(new PrintWriter(out, true));
        commandLine.setErr(new PrintWriter(err, true));
        return commandLine.execute(args);
    }

    @Test
    void versionIsTheOneOfTheBuild() {
        assertThat(run("--version")).isZero();
        assertThat(out.toString().strip()).matches("dropless \\d+\\.\\d+\\.\\d+(-SNAPSHOT)?");
    }

    @Test
    void helpNamesTheExitStatuses() {
        assertThat(run("--help")).isZero();
        assertThat(out.toString()).contains("Usage: dropless", "a comparison failed", "bad input");
        assertThat(err.toString()).isEmpty();
    }

    @Test
    void usageErrorsExitWithTwo() {
        assertThat(run("--no-such-option")).isEqualTo(2);
        assertThat(err.toString()).contains("--no-such-option");
        assertThat(run()).isEqualTo(2);
        assertThat(err.toString()).contains("Missing command");
        assertThat(out.toString()).isEmpty();
    }
}
