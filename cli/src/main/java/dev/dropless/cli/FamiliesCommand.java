package dev.dropless.cli;

import dev.dropless.cli.families.FamilySummary;
import dev.dropless.moe.family.Families;
import dev.dropless.moe.family.Family;
import dev.dropless.safetensors.Json;
import java.io.PrintWriter;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Lists the model families. */
@Command(
        name = "families",
        description =
                "Lists the model families with their options, or shows one: keys of its configuration, names of its tensors.",
        mixinStandardHelpOptions = true)
final class FamiliesCommand implements Callable<Integer> {

    @Spec
    private CommandSpec spec;

    @Parameters(arity = "0..1", paramLabel = "NAME", description = "one family (default: all)")
    private @Nullable String name;

    @Option(names = "--json", description = "as JSON")
    private boolean json;

    @Override
    public Integer call() {
        List<Family> families = name == null ? Families.all() : List.of(Families.byName(name));
        List<FamilySummary> summaries = families.stream().map(FamilySummary::of).toList();
        PrintWriter out = spec.commandLine().getOut();
        if (json) {
            List<?> all = summaries.stream().map(FamilySummary::json).toList();
            out.println(Json.writePretty(name == null ? all : all.getFirst()));
        } else if (name == null) {
            table(out, summaries);
        } else {
            one(out, summaries.getFirst());
        }
        out.flush();
        return Main.DONE;
    }

    private static void table(PrintWriter out, List<FamilySummary> summaries) {
        List<String> titles = List.of("family", "score", "selection", "weights", "experts", "shared expert");
        List<Function<FamilySummary, String>> columns = List.of(
                FamilySummary::name,
                FamilySummary::score,
                FamilySummary::selection,
                FamilySummary::weights,
                FamilySummary::experts,
                FamilySummary::shared);
        StringBuilder format = new StringBuilder();
        StringBuilder line = new StringBuilder();
        for (int i = 0; i < titles.size(); i++) {
            Function<FamilySummary, String> column = columns.get(i);
            int width = Math.max(
                    titles.get(i).length(),
                    summaries.stream()
                            .mapToInt(s -> column.apply(s).length())
                            .max()
                            .orElse(0));
            format.append("%-").append(width).append("s  ");
            line.append("-".repeat(width)).append("  ");
        }
        out.println(format.toString().formatted(titles.toArray()).stripTrailing());
        out.println(line.toString().stripTrailing());
        for (FamilySummary summary : summaries) {
            Object[] cells =
                    columns.stream().map(column -> column.apply(summary)).toArray();
            out.println(format.toString().formatted(cells).stripTrailing());
        }
        out.println();
        out.println("\"families NAME\" shows the keys of a family's configuration and the names of its tensors.");
    }

    private static void one(PrintWriter out, FamilySummary summary) {
        out.println(summary.name());
        row(out, "score", summary.score());
        row(out, "selection", summary.selection());
        row(out, "weights", summary.weights());
        row(out, "experts", summary.experts());
        row(out, "shared expert", summary.shared());
        row(out, "losses", summary.losses().isEmpty() ? "none" : String.join(", ", summary.losses()));
        row(out, "layers", summary.layerPrefix());
        out.println();
        out.println("keys of the configuration, with the values of a small example");
        summary.keys().forEach((key, value) -> out.println("  %-40s %s".formatted(key, Json.write(value))));
        out.println();
        out.println("tensors after the layer's prefix, with the shapes of the example; N is the number of an expert");
        summary.tensors().forEach((tensor, shape) -> out.println("  %-40s %s".formatted(tensor, shape)));
    }

    private static void row(PrintWriter out, String title, String text) {
        out.println("  %-14s %s".formatted(title, text));
    }
}
