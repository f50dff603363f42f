using System.Globalization;
using System.Text;
using GradientAtoms.Runs.Formats;

namespace GradientAtoms.Runs.Reports;

/// <summary>When each pole was learnt: how many appear at each checkpoint, and every pole's own curve.</summary>
internal static class TimelineSection
{
    private const double SparkWidth = 150;
    private const double SparkHeight = 34;

    public static void Write(StringBuilder page, ReportData data)
    {
        if (data.Timeline is not { } timeline)
        {
            return;
        }

        page.Append($"""
            <section aria-labelledby="training">
            <h2 id="training">Over the training</h2>
            <p>At each of {Html.Of(timeline.Checkpoints.Count - 1, "checkpoint")} of the fine-tune: how much likelier the trained tokens of a pole's strongest documents have become than before it, less the same of documents that were asked most alike and do not encode on the atom; in nats a token. A pole <i>appears</i> at the first checkpoint with half of the most that it reaches, where that is more than twice its standard error; it <i>fades</i> where at most half is left to the end.</p>

            """);
        WriteAppearances(page, timeline);
        page.Append("<div class=\"wrap\">\n<table>\n<caption>Poles by when they appear</caption>\n<thead><tr><th scope=\"col\">Pole</th><th scope=\"col\">Name</th><th scope=\"col\">Appears</th><th scope=\"col\">Grows most</th><th scope=\"col\">Fades</th><th scope=\"col\" class=\"n\">At the end</th><th scope=\"col\">Presence</th></tr></thead>\n<tbody>\n");
        var poles = data.Atoms.SelectMany(atom => atom.Poles.Select(pole => (Atom: atom, Pole: pole))).ToDictionary(pair => pair.Pole.Id, StringComparer.Ordinal);
        foreach (var curve in timeline.Poles.Where(curve => poles.ContainsKey(curve.Id)).OrderBy(curve => Place(timeline, curve.Appears)))
        {
            var (atom, pole) = poles[curve.Id];
            var last = curve.Points[^1];
            page.Append($"<tr><th scope=\"row\"><a class=\"id\" href=\"#atom-{Html.Escape(atom.Id)}\">{Html.Escape(curve.Id)}</a></th><td>{AtomSection.Name(pole)}</td><td>{Html.Escape(curve.Appears ?? "not beyond others")}</td><td>{Html.Escape(curve.Grows ?? "–")}</td><td>{Html.Escape(curve.Fades ?? "–")}</td><td class=\"n\">{Html.Number(last.Presence)} ± {Html.Number(last.Error)}</td><td>{Spark(timeline, curve)}</td></tr>\n");
        }

        page.Append("</tbody>\n</table>\n</div>\n</section>\n");
    }

    private static void WriteAppearances(StringBuilder page, Timeline timeline)
    {
        var counts = timeline.Checkpoints.Skip(1).Select(checkpoint => timeline.Poles.Count(pole => pole.Appears == checkpoint.Name)).ToArray();
        var most = Math.Max(1, counts.Max());
        var width = 520.0 / counts.Length;
        page.Append($"<figure><svg viewBox=\"0 0 600 170\" width=\"600\" height=\"170\" role=\"img\" aria-label=\"Poles that appear at each checkpoint: {string.Join(", ", timeline.Checkpoints.Skip(1).Zip(counts, (checkpoint, count) => $"{Html.Escape(checkpoint.Name)} {count.ToString(CultureInfo.InvariantCulture)}"))}\"><path class=\"axis\" d=\"M40 10V140H580\" fill=\"none\"/>");
        for (var place = 0; place < counts.Length; place++)
        {
            var (x, height) = (46 + (place * width), 125.0 * counts[place] / most);
            page.Append($"<rect x=\"{Html.Pixel(x)}\" y=\"{Html.Pixel(140 - height)}\" width=\"{Html.Pixel(Math.Max(width - 6, 2))}\" height=\"{Html.Pixel(height)}\" style=\"fill:var(--kept)\"/>");
            if (counts.Length <= 12)
            {
                page.Append($"<text x=\"{Html.Pixel(x + ((width - 6) / 2))}\" y=\"156\" text-anchor=\"middle\">{Html.Escape(timeline.Checkpoints[place + 1] is { Step: { } step } ? Html.Count(step) : timeline.Checkpoints[place + 1].Name)}</text>");
            }
        }

        page.Append($"<text x=\"34\" y=\"20\" text-anchor=\"end\">{Html.Count(most)}</text><text x=\"34\" y=\"140\" text-anchor=\"end\">0</text></svg><figcaption class=\"soft\">Poles by the checkpoint (step) at which they appear, of {Html.Count(timeline.Poles.Count(pole => pole.Appears is not null))} that were learnt beyond others</figcaption></figure>\n");
    }

    private static string Spark(Timeline timeline, PoleTimeline curve)
    {
        var values = curve.Points.Select(point => point.Presence).ToArray();
        var (low, high) = (Math.Min(values.Min(), 0), Math.Max(values.Max(), 1e-9));
        double X(int place) => 3 + ((SparkWidth - 6) * place / Math.Max(1, values.Length - 1));
        double Y(double value) => 3 + ((SparkHeight - 6) * (1 - ((value - low) / (high - low))));
        var points = string.Join(' ', values.Select((value, place) => $"{Html.Pixel(X(place))},{Html.Pixel(Y(value))}"));
        var mark = curve.Appears is null ? string.Empty : Place(timeline, curve.Appears) is var at ? $"<circle cx=\"{Html.Pixel(X(at))}\" cy=\"{Html.Pixel(Y(values[at]))}\" r=\"3\" style=\"fill:var(--link)\"/>" : string.Empty;
        return $"<svg viewBox=\"0 0 {Html.Pixel(SparkWidth)} {Html.Pixel(SparkHeight)}\" width=\"{Html.Pixel(SparkWidth)}\" height=\"{Html.Pixel(SparkHeight)}\" role=\"img\" aria-label=\"Presence: {string.Join(", ", values.Select(Html.Number))}\"><path class=\"axis\" d=\"M3 {Html.Pixel(Y(0))}H{Html.Pixel(SparkWidth - 3)}\"/><polyline class=\"curve\" points=\"{points}\"/>{mark}</svg>";
    }

    private static int Place(Timeline timeline, string? name) =>
        name is null ? int.MaxValue : timeline.Checkpoints.Index().First(checkpoint => checkpoint.Item.Name == name).Index;
}
