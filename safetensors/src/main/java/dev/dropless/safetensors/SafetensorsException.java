package dev.dropless.safetensors;

import java.io.IOException;

/**
 * A file could not be read or written; the message is one printable line of the form
 * {@code FILE: what, expected, found}.
 *
 * <p>It extends {@link IOException} because its cause always lies in a file, never in the calling program, and
 * callers handle both the same way. Control characters that a hostile file smuggles into names are escaped.
 */
public final class SafetensorsException extends IOException {

    private static final long serialVersionUID = 1L;

    /**
     * Reports a problem of one file.
     *
     * @param source the file, or whatever else names the origin of the data
     * @param problem what is wrong, what was expected and what was found
     */
    public SafetensorsException(String source, String problem) {
        super(message(source, problem));
    }

    /**
     * Reports a problem of one file that another exception revealed.
     *
     * @param source the file, or whatever else names the origin of the data
     * @param problem what is wrong, what was expected and what was found
     * @param cause the exception that revealed it
     */
    public SafetensorsException(String source, String problem, Throwable cause) {
        super(message(source, problem), cause);
    }

    private static String message(String source, String problem) {
        return Text.oneLine(source) + ": " + Text.oneLine(problem);
    }
}
