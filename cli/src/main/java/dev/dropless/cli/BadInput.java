package dev.dropless.cli;

/** What the user gave cannot be used. The message is one line: what, where, expected, found. */
public final class BadInput extends RuntimeException {

    private static final long serialVersionUID = 1;

    /**
     * Creates the exception.
     *
     * @param message one line
     */
    public BadInput(String message) {
        super(message);
    }

    /**
     * Creates the exception with its cause, which {@code -v} shows.
     *
     * @param message one line
     * @param cause what failed
     */
    public BadInput(String message, Throwable cause) {
        super(message, cause);
    }

    /**
     * Turns a failure that the input caused into this.
     *
     * @param cause what failed; its message is one line
     * @return the exception, to be thrown
     */
    public static BadInput because(Exception cause) {
        String message = cause.getMessage();
        return new BadInput(message == null ? cause.toString() : message, cause);
    }
}
