package dev.dropless.cli;

import java.io.Console;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;
import org.jspecify.annotations.Nullable;

/** A progress bar on standard error where that is a terminal, and nothing elsewhere. */
final class Progress implements AutoCloseable {

    private final @Nullable ProgressBar bar;

    private Progress(@Nullable ProgressBar bar) {
        this.bar = bar;
    }

    static Progress of(String task, long steps) {
        Console console = System.console();
        boolean terminal = console != null
                && console.isTerminal()
                && System.getenv("TERM") != null
                && !"dumb".equals(System.getenv("TERM"))
                && errorIsTerminal();
        if (!terminal) {
            return new Progress(null);
        }
        return new Progress(new ProgressBarBuilder()
                .setTaskName(task)
                .setInitialMax(steps)
                .setStyle(ProgressBarStyle.ASCII)
                .setUpdateIntervalMillis(200)
                .clearDisplayOnFinish()
                .build());
    }

    /** Java sees standard input and output only; where the system shows what standard error is, it must be a terminal. */
    private static boolean errorIsTerminal() {
        Path error = Path.of("/proc/self/fd/2");
        if (!Files.exists(error)) {
            return true;
        }
        try {
            return error.toRealPath().startsWith("/dev/pts")
                    || error.toRealPath().startsWith("/dev/tty");
        } catch (IOException e) {
            return false;
        }
    }

    void step() {
        if (bar != null) {
            bar.step();
        }
    }

    void describe(String what) {
        if (bar != null) {
            bar.setExtraMessage(what);
        }
    }

    @Override
    public void close() {
        if (bar != null) {
            bar.close();
        }
    }
}
