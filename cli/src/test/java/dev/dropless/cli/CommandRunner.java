package dev.dropless.cli;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import picocli.CommandLine;

/** Runs the command inside the test's JVM. */
final class CommandRunner {

    /** What a run printed, and its exit status. */
    record Result(int status, String out, String err) {

        List<String> errorLines() {
            return err.lines().toList();
        }
    }

    private CommandRunner() {}

    static Result run(Object... arguments) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        CommandLine command = Main.commandLine();
        command.setOut(new PrintWriter(out, true));
        command.setErr(new PrintWriter(err, true));
        String[] texts = new String[arguments.length];
        for (int i = 0; i < texts.length; i++) {
            texts[i] = arguments[i].toString();
        }
        int status = command.execute(texts);
        return new Result(status, out.toString(), err.toString());
    }
}
