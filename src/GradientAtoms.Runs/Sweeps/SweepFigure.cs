using System.Globalization;
using System.Text;
using GradientAtoms.Evaluation.Sweeps;
using GradientAtoms.Runs.Reports;

namespace GradientAtoms.Runs.Sweeps;

/// <summary>
/// A pole's rates against strength, as an SVG that stands by itself: on target a line with its interval, off target a dashed one,
/// controls as squares, the unsteered rates as level lines; what was not run or failed is said in its place. The same numbers are
/// in <c>sweep.csv</c>.
/// </summary>
internal static class SweepFigure
{
    private const double Width = 760;
    private const double Height = 420;
    private const double Left = 60;
    private const double Right = 24;
    private const double Top = 48;
    private const double Bottom = 78;

    public static string Draw(SweptPole pole)
    {
        var rows = pole.Rows.Where(row => row.Detector == pole.Detector).ToList();
        double[] strengths = [.. pole.Steps.Where(step => step.Kind == SweepArmKind.Pole).Select(step => step.Kl).Append(0).Distinct().Order()];
        double X(double kl) => Left + ((Array.IndexOf(strengths, kl) + 0.5) * (Width - Left - Right) / strengths.Length);
        var svg = new StringBuilder($"""
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {Html.Pixel(Width)} {Html.Pixel(Height)}" width="{Html.Pixel(Width)}" height="{Html.Pixel(Height)}" role="img" font-family="system-ui, sans-serif" font-size="12">
            <title>{Html.Escape($"{pole.Pole}: {pole.Detector ?? "no detector"} against strength")}</title>
            <rect width="100%" height="100%" fill="#ffffff"/>
            <text x="{Html.Pixel(Left)}" y="22" font-size="15" font-weight="600" fill="#1a1a1a">{Html.Escape(pole.Detector is null ? $"{pole.Pole}: no detector tells its documents from others" : $"{pole.Pole}: answers that show {pole.Detector}")}</text>

            """);
        for (var tenth = 0; tenth <= 10; tenth += 2)
        {
            var y = Y(tenth / 10.0);
            svg.Append($"<line x1=\"{Html.Pixel(Left)}\" x2=\"{Html.Pixel(Width - Right)}\" y1=\"{Html.Pixel(y)}\" y2=\"{Html.Pixel(y)}\" stroke=\"#e3e3e3\"/><text x=\"{Html.Pixel(Left - 8)}\" y=\"{Html.Pixel(y + 4)}\" text-anchor=\"end\" fill=\"#555555\">{(tenth * 10).ToString(CultureInfo.InvariantCulture)} %</text>\n");
        }

        foreach (var kl in strengths)
        {
            svg.Append($"<text x=\"{Html.Pixel(X(kl))}\" y=\"{Html.Pixel(Height - Bottom + 18)}\" text-anchor=\"middle\" fill=\"#555555\">{Strength(kl)}</text>\n");
        }

        svg.Append($"<text x=\"{Html.Pixel((Left + Width - Right) / 2)}\" y=\"{Html.Pixel(Height - Bottom + 36)}\" text-anchor=\"middle\" fill=\"#333333\">less ← KL asked for, nats a token → more</text>\n");
        Series(svg, rows, SweepGroup.OffTarget, X, "#8a6d00", dashed: true);
        Series(svg, rows, SweepGroup.OnTarget, X, "#1b5fa8", dashed: false);
        Controls(svg, rows, X);
        Legend(svg);
        return svg.Append("</svg>\n").ToString();
    }

    private static double Y(double rate) => Height - Bottom - (rate * (Height - Bottom - Top));

    private static void Series(StringBuilder svg, List<SweepRow> rows, SweepGroup group, Func<double, double> x, string colour, bool dashed)
    {
        var points = rows.Where(row => row.Group == group && row.Kind is SweepArmKind.Pole or SweepArmKind.Unsteered).OrderBy(row => row.Kl).ToList();
        var drawn = points.Where(row => row.Rate is not null).ToList();
        if (drawn.Count > 0)
        {
            var band = drawn.Select(row => (row.Kl, row.High)).Concat(drawn.AsEnumerable().Reverse().Select(row => (row.Kl, High: row.Low)));
            svg.Append($"<polygon points=\"{string.Join(' ', band.Select(point => $"{Html.Pixel(x(point.Kl))},{Html.Pixel(Y(point.High!.Value))}"))}\" fill=\"{colour}\" fill-opacity=\"0.13\"/>\n");
            svg.Append($"<polyline points=\"{string.Join(' ', drawn.Select(row => $"{Html.Pixel(x(row.Kl))},{Html.Pixel(Y(row.Rate!.Value))}"))}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{(dashed ? " stroke-dasharray=\"6 4\"" : string.Empty)}/>\n");
        }

        foreach (var row in drawn)
        {
            svg.Append($"<circle cx=\"{Html.Pixel(x(row.Kl))}\" cy=\"{Html.Pixel(Y(row.Rate!.Value))}\" r=\"4\" fill=\"{colour}\"><title>{Html.Escape(Told(row))}</title></circle>\n");
        }

        // What is missing is written, a line for each group: zero and missing never look alike.
        foreach (var row in points.Where(row => row.Rate is null))
        {
            svg.Append($"<text x=\"{Html.Pixel(x(row.Kl))}\" y=\"{Html.Pixel(Y(0) - (group == SweepGroup.OnTarget ? 20 : 6))}\" text-anchor=\"middle\" font-size=\"11\" fill=\"{colour}\">{(row.Status == SweepStatus.Failed ? "failed" : "not run")}</text>\n");
        }
    }

    private static void Controls(StringBuilder svg, List<SweepRow> rows, Func<double, double> x)
    {
        foreach (var row in rows.Where(row => row is { Kind: SweepArmKind.Random, Group: SweepGroup.OnTarget, Rate: not null }))
        {
            var at = x(row.Kl) + 9;
            svg.Append($"<line x1=\"{Html.Pixel(at)}\" x2=\"{Html.Pixel(at)}\" y1=\"{Html.Pixel(Y(row.Low!.Value))}\" y2=\"{Html.Pixel(Y(row.High!.Value))}\" stroke=\"#777777\"/><rect x=\"{Html.Pixel(at - 4)}\" y=\"{Html.Pixel(Y(row.Rate!.Value) - 4)}\" width=\"8\" height=\"8\" fill=\"#777777\"><title>{Html.Escape(Told(row))}</title></rect>\n");
        }

        foreach (var row in rows.Where(row => row is { Kind: SweepArmKind.Removed, Group: SweepGroup.OnTarget, Rate: not null }))
        {
            svg.Append($"<line x1=\"{Html.Pixel(Left)}\" x2=\"{Html.Pixel(Width - Right)}\" y1=\"{Html.Pixel(Y(row.Rate!.Value))}\" y2=\"{Html.Pixel(Y(row.Rate!.Value))}\" stroke=\"#a03050\" stroke-dasharray=\"2 3\"><title>{Html.Escape(Told(row))}</title></line>\n");
        }
    }

    private static void Legend(StringBuilder svg)
    {
        var y = Height - 16;
        void Entry(double x, string mark, string text) => svg.Append($"{mark}<text x=\"{Html.Pixel(x + 30)}\" y=\"{Html.Pixel(y + 4)}\" fill=\"#333333\">{text}</text>\n");
        Entry(Left, $"<line x1=\"{Html.Pixel(Left)}\" x2=\"{Html.Pixel(Left + 24)}\" y1=\"{Html.Pixel(y)}\" y2=\"{Html.Pixel(y)}\" stroke=\"#1b5fa8\" stroke-width=\"2\"/>", "on target, 95 %");
        Entry(Left + 150, $"<line x1=\"{Html.Pixel(Left + 150)}\" x2=\"{Html.Pixel(Left + 174)}\" y1=\"{Html.Pixel(y)}\" y2=\"{Html.Pixel(y)}\" stroke=\"#8a6d00\" stroke-width=\"2\" stroke-dasharray=\"6 4\"/>", "off target, 95 %");
        Entry(Left + 310, $"<rect x=\"{Html.Pixel(Left + 326)}\" y=\"{Html.Pixel(y - 4)}\" width=\"8\" height=\"8\" fill=\"#777777\"/>", "random direction, on target");
        Entry(Left + 510, $"<line x1=\"{Html.Pixel(Left + 510)}\" x2=\"{Html.Pixel(Left + 534)}\" y1=\"{Html.Pixel(y)}\" y2=\"{Html.Pixel(y)}\" stroke=\"#a03050\" stroke-dasharray=\"2 3\"/>", "atom projected out");
    }

    private static string Told(SweepRow row) =>
        string.Create(CultureInfo.InvariantCulture, $"{row.Arm}, {(row.Group == SweepGroup.OnTarget ? "on" : "off")} target: {row.Shown} of {row.Answers}, {100 * row.Low:0} to {100 * row.High:0} %");

    private static string Strength(double kl) => kl.ToString("+0.###;-0.###;0", CultureInfo.InvariantCulture);
}
