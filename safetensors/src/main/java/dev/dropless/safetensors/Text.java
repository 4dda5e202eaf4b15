package dev.dropless.safetensors;

import java.util.Collection;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.stream.Collectors;

/** Makes text of unknown origin fit for a one-line message. */
final class Text {

    private static final int MAX_QUOTED_CHARS = 160;
    private static final int MAX_LISTED_NAMES = 6;

    private Text() {}

    /** Returns {@code text} with every character escaped that could break or disguise a line of output. */
    static String oneLine(String text) {
        StringBuilder out = new StringBuilder(text.length());
        text.codePoints().forEach(c -> appendPrintable(out, c));
        return out.toString();
    }

    /** Returns {@code text} in double quotes, escaped, and shortened when it is very long. */
    static String quote(String text) {
        StringBuilder out = new StringBuilder("\"");
        abbreviate(text, MAX_QUOTED_CHARS).codePoints().forEach(c -> {
            if (c == '"' || c == '\\') {
                out.append('\\');
            }
            appendPrintable(out, c);
        });
        return out.append('"').toString();
    }

    /** Returns {@code text} cut to {@code maxChars}, with a mark that says how long it was. */
    static String abbreviate(String text, int maxChars) {
        return text.length() <= maxChars
                ? text
                : text.substring(0, maxChars) + "... (" + text.length() + " characters)";
    }

    /** Returns whether {@code text} has no unpaired surrogate, so that UTF-8 can represent it. */
    static boolean isUnicode(String text) {
        return text.codePoints().noneMatch(c -> c >= Character.MIN_SURROGATE && c <= Character.MAX_SURROGATE);
    }

    /** Says which names there are, those closest to {@code wanted} first. */
    static String listNames(Collection<String> names, String wanted) {
        if (names.isEmpty()) {
            return "there are none";
        }
        String listed = names.stream()
                .sorted(Comparator.comparingInt((String name) -> -commonPrefix(name, wanted)))
                .limit(MAX_LISTED_NAMES)
                .map(Text::quote)
                .collect(Collectors.joining(", "));
        int more = names.size() - MAX_LISTED_NAMES;
        return "found " + names.size() + ": " + listed + (more > 0 ? " and " + more + " more" : "");
    }

    private static int commonPrefix(String a, String b) {
        int n = 0;
        while (n < Math.min(a.length(), b.length()) && a.charAt(n) == b.charAt(n)) {
            n++;
        }
        return n;
    }

    private static void appendPrintable(StringBuilder out, int codePoint) {
        if (isPrintable(codePoint)) {
            out.appendCodePoint(codePoint);
        } else if (Character.isBmpCodePoint(codePoint)) {
            out.append("\\u").append(HexFormat.of().toHexDigits((char) codePoint));
        } else {
            out.append("\\u{").append(Integer.toHexString(codePoint)).append('}');
        }
    }

    // FORMAT holds the bidirectional overrides, which reorder what a terminal shows.
    private static boolean isPrintable(int codePoint) {
        return switch (Character.getType(codePoint)) {
            case Character.CONTROL,
                    Character.FORMAT,
                    Character.LINE_SEPARATOR,
                    Character.PARAGRAPH_SEPARATOR,
                    Character.SURROGATE,
                    Character.UNASSIGNED -> false;
            default -> true;
        };
    }
}
