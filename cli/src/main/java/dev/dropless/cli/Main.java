package dev.dropless.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.NoSuchFileException;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;

/** Entry point of the {@code ./dropless} command: parses arguments, hands over to a subcommand, and turns failures into one line. */
@Command(
        name = "dropless",
        description = "Dropless mixture-of-experts layers on the JVM.",
        mixinStandardHelpOptions = true,
        versionProvider = Version.class,
        subcommands = {
            DemoCommand.class,
            InfoCommand.class,
            EvalCommand.class,
            TopologyCommand.class,
            RunCommand.class,
            CompareCommand.class,
            BenchCommand.class,
            FamiliesCommand.class,
            RoutingCommand.class,
        },
        exitCodeListHeading = "%nExit status:%n",
        exitCodeList = {"0:done", "1:a comparison failed", "2:bad input", "70:a bug of dropless"})
public final class Main implements Callable<Integer> {

    /** Exit status: done. */
    static final int DONE = 0;

    /** Exit status: a comparison failed. */
    static final int COMPARISON_FAILED = 1;

    /** Exit status: bad input. */
    static final int BAD_INPUT = 2;

    /** Exit status: a bug. */
    static final int BUG = 70;

    @Spec
    private CommandSpec spec;

    @Option(
            names = {"-v", "--verbose"},
            scope = ScopeType.INHERIT,
            description = "show the stack trace of a failure")
    private boolean verbose;

    private Main() {}

    /**
     * Runs the command and ends the JVM with its exit status.
     *
     * @param args command-line arguments
     */
    public static void main(String[] args) {
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return new CommandLine(new Main())
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setParameterExceptionHandler(Main::usageError)
                .setExecutionExceptionHandler(Main::failure);
    }

    @Override
    public Integer call() {
        throw new ParameterException(spec.commandLine(), "Missing command");
    }

    private static int usageError(ParameterException e, String[] args) {
        CommandLine command = e.getCommandLine();
        complain(
                command,
                "%s (%s --help lists what there is)"
                        .formatted(
                                describe(e).replaceFirst("^Error: ", ""),
                                command.getCommandSpec().qualifiedName()));
        return BAD_INPUT;
    }

    private static int failure(Exception e, CommandLine command, ParseResult parsed) {
        boolean bad = e instanceof BadInput || e instanceof IOException || e instanceof IllegalArgumentException;
        complain(command, bad ? describe(e) : "unexpected " + e);
        Main main = command.getCommandSpec().root().userObject() instanceof Main root ? root : null;
        if (main != null && main.verbose) {
            e.printStackTrace(command.getErr());
        }
        return bad ? BAD_INPUT : BUG;
    }

    private static String describe(Exception e) {
        if (e instanceof NoSuchFileException missing) {
            return missing.getFile() + ": expected a file, found none";
        }
        String message = e.getMessage();
        return message == null || message.isBlank() ? e.toString() : message;
    }

    /** One line on standard error, whatever the message holds. */
    private static void complain(CommandLine command, String message) {
        PrintWriter err = command.getErr();
        err.println("dropless: " + message.replaceAll("\\s*\\R\\s*", " "));
        err.flush();
    }
}
