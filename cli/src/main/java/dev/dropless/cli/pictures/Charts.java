package dev.dropless.cli.pictures;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.CategoryChart;
import org.knowm.xchart.CategoryChartBuilder;
import org.knowm.xchart.CategorySeries;
import org.knowm.xchart.CategorySeries.CategorySeriesRenderStyle;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.internal.chartpart.Chart;
import org.knowm.xchart.style.AxesChartStyler;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** Charts of a routing, as PNG. */
public final class Charts {

    private static final int WIDTH = 1200;
    private static final int HEIGHT = 620;
    private static final List<Color> LINES = List.of(
            new Color(0xb3261e), new Color(0xe07b1f), new Color(0x2e7d32), new Color(0x6a3fa0), new Color(0x111827));
    private static final Color BARS = new Color(0x8fb8de);

    private Charts() {}

    /**
     * Tokens of each expert, busiest first, with a line at the capacity of each capacity factor.
     *
     * @param title above the chart
     * @param tokensPerExpert load of every expert
     * @param capacities rows that an expert has, by the factor's name, in the order of the legend
     * @return the file
     */
    public static byte[] loads(String title, int[] tokensPerExpert, Map<String, Integer> capacities) {
        CategoryChart chart = new CategoryChartBuilder()
                .width(WIDTH)
                .height(HEIGHT)
                .title(title)
                .xAxisTitle("experts, busiest first")
                .yAxisTitle("(token, choice) pairs")
                .build();
        List<Integer> loads =
                new ArrayList<>(Arrays.stream(tokensPerExpert).boxed().toList());
        loads.sort(Collections.reverseOrder());
        List<Integer> ranks = new ArrayList<>();
        for (int rank = 1; rank <= loads.size(); rank++) {
            ranks.add(rank);
        }
        chart.addSeries("load", ranks, loads).setFillColor(BARS);
        int color = 0;
        for (Map.Entry<String, Integer> capacity : capacities.entrySet()) {
            CategorySeries line = chart.addSeries(
                    String.format(Locale.ROOT, "%s: %,d rows", capacity.getKey(), capacity.getValue()),
                    ranks,
                    Collections.nCopies(ranks.size(), capacity.getValue()));
            line.setChartCategorySeriesRenderStyle(CategorySeriesRenderStyle.Line);
            line.setMarker(SeriesMarkers.NONE);
            line.setLineColor(LINES.get(color++ % LINES.size()));
            line.setLineStyle(new BasicStroke(2.5f));
        }
        style(chart.getStyler());
        chart.getStyler().setAvailableSpaceFill(0.8);
        chart.getStyler().setOverlapped(true);
        chart.getStyler().setXAxisMaxLabelCount(16);
        return png(chart);
    }

    /**
     * Share of the tokens' choices that is dropped, along the sequence.
     *
     * @param title above the chart
     * @param droppedByPosition share at each position, by the name of the capacity, in the order of the legend
     * @param window positions that are averaged to one point, 1 or more
     * @return the file
     */
    public static byte[] drops(String title, Map<String, double[]> droppedByPosition, int window) {
        XYChart chart = new XYChartBuilder()
                .width(WIDTH)
                .height(HEIGHT)
                .title(title)
                .xAxisTitle(String.format(Locale.ROOT, "position in the sequence (mean of %,d tokens)", window))
                .yAxisTitle("dropped (token, choice) pairs, %")
                .build();
        int color = 0;
        for (Map.Entry<String, double[]> entry : droppedByPosition.entrySet()) {
            double[] values = entry.getValue();
            int points = Math.ceilDiv(values.length, window);
            double[] positions = new double[points];
            double[] percent = new double[points];
            for (int i = 0; i < points; i++) {
                int from = i * window;
                int to = Math.min(values.length, from + window);
                positions[i] = (from + to) / 2.0;
                percent[i] = 100 * Arrays.stream(values, from, to).average().orElse(0);
            }
            XYSeries line = chart.addSeries(entry.getKey(), positions, percent);
            line.setMarker(SeriesMarkers.NONE);
            line.setLineColor(LINES.get(color++ % LINES.size()));
            line.setLineStyle(new BasicStroke(2.5f));
        }
        style(chart.getStyler());
        chart.getStyler().setYAxisMin(0.0);
        chart.getStyler().setXAxisMin(0.0);
        return png(chart);
    }

    /**
     * Values along an axis, as lines.
     *
     * @param title above the chart
     * @param xTitle of the horizontal axis, on which the first value of a line is at {@code first}
     * @param yTitle of the vertical axis
     * @param first where the lines begin
     * @param lines values by name, in the order of the legend
     * @return the file
     */
    public static byte[] lines(String title, String xTitle, String yTitle, double first, Map<String, double[]> lines) {
        XYChart chart = new XYChartBuilder()
                .width(WIDTH)
                .height(HEIGHT)
                .title(title)
                .xAxisTitle(xTitle)
                .yAxisTitle(yTitle)
                .build();
        int color = 0;
        for (Map.Entry<String, double[]> entry : lines.entrySet()) {
            double[] positions = new double[entry.getValue().length];
            Arrays.setAll(positions, i -> first + i);
            XYSeries line = chart.addSeries(entry.getKey(), positions, entry.getValue());
            line.setMarker(SeriesMarkers.NONE);
            line.setLineColor(LINES.get(color++ % LINES.size()));
            line.setLineStyle(new BasicStroke(2.5f));
        }
        style(chart.getStyler());
        chart.getStyler().setYAxisMin(0.0);
        return png(chart);
    }

    private static void style(AxesChartStyler styler) {
        styler.setChartBackgroundColor(Color.WHITE);
        styler.setLegendPosition(Styler.LegendPosition.OutsideS);
        styler.setLegendLayout(Styler.LegendLayout.Horizontal);
        styler.setLegendBackgroundColor(Color.WHITE);
        styler.setPlotBorderVisible(false);
        styler.setPlotGridVerticalLinesVisible(false);
        styler.setDecimalPattern("#,###.##");
        styler.setLocale(Locale.ROOT);
        styler.setChartTitleFont(new Font(Font.SANS_SERIF, Font.PLAIN, 20));
        styler.setAxisTitleFont(new Font(Font.SANS_SERIF, Font.PLAIN, 16));
        styler.setAxisTickLabelsFont(new Font(Font.SANS_SERIF, Font.PLAIN, 14));
        styler.setLegendFont(new Font(Font.SANS_SERIF, Font.PLAIN, 14));
    }

    private static byte[] png(Chart<?, ?> chart) {
        try {
            return BitmapEncoder.getBitmapBytes(chart, BitmapFormat.PNG);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
