using System.Globalization;
using System.Text;

namespace GradientAtoms.Runs.Reports;

/// <summary>What was read and what was not; the fine-tune; the self-checks; coverage.</summary>
internal static class ReadingSection
{
    private const int RejectedShown = 200;

    public static void Write(StringBuilder page, ReportData data)
    {
        page.Append("<section aria-labelledby=\"reading\">\n<h2 id=\"reading\">What was read</h2>\n");
        WriteCounts(page, data);
        WriteSizes(page, data.Dictionary?.Sizes);
        WriteRejected(page, data.Reading);
        WriteTuning(page, data.Tuning);
        WriteChecks(page, data);
        page.Append("</section>\n");
    }

    private static void WriteCounts(StringBuilder page, ReportData data)
    {
        var (reading, model) = (data.Reading, data.Model);
        page.Append("<div class=\"wrap\"><table class=\"narrow\"><caption>Data and model</caption><tbody>\n");
        Row("Data file", Code(reading.File));
        Row("Shape of the rows", reading.Shape is { } shape ? Html.Escape(shape) : null);
        Row("Rows read", Html.Count(reading.RowCount));
        Row("Documents used", Html.Count(reading.DocumentCount));
        Row("Rows rejected", Html.Count(reading.Rejected.Count));
        Row("Exact duplicates, counted once", Html.Count(reading.DuplicateCount));
        Row("Documents held out of the learning", Html.Count(reading.HeldOutCount));
        Row("Documents cut at the end", $"{Html.Count(reading.TruncatedCount)} ({Html.Of(reading.TruncatedTokenCount, "token")} lost)");
        Row("Tokens", Html.Count(reading.TokenCount));
        Row("Trained tokens", reading.TokenCount > 0 ? $"{Html.Count(reading.TrainedTokenCount)} ({Html.Percent((double)reading.TrainedTokenCount / reading.TokenCount)})" : Html.Count(reading.TrainedTokenCount));
        Row("Mean loss a trained token", reading.MeanLoss is { } loss ? $"{Html.Number(loss)} nats" : null);
        Row("Model", $"{Code(model.Name)}, {Html.Escape(model.Architecture)}, {Html.Count(model.ParameterCount)} parameters");
        Row("Weights", model.Format is { } format ? Html.Escape(format) : null);
        Row("Adapter", model.AdapterName is { } adapter ? Code(adapter) : null);
        Row("LoRA rank and scale", model.Rank is { } rank ? rank.ToString(CultureInfo.InvariantCulture) + (model.Scale is { } scale ? $", {Html.Number(scale)}" : string.Empty) : null);
        Row("Adapted modules", model.Modules.Count > 0 ? $"{Html.Count(model.Modules.Count)}: {Html.Escape(string.Join(", ", model.Modules.Select(name => ModuleName.Parse(name).Kind).Distinct(StringComparer.Ordinal)))}" : null);
        if (data.Coverage is { TrainedParameterCount: > 0 } coverage)
        {
            Row("Trained parameters looked at", $"{Html.Count(coverage.SeenParameterCount)} of {Html.Count(coverage.TrainedParameterCount)} ({Html.Percent((double)coverage.SeenParameterCount / coverage.TrainedParameterCount)}){(coverage.Note is { } note ? "; " + Html.Escape(note) : string.Empty)}");
        }

        if (data.Dictionary is { } dictionary)
        {
            Row("Dictionary", $"{Html.Of(dictionary.AtomCount, "atom")}, penalty {Html.Number(dictionary.Sparsity)}{(dictionary.Codes is { } codes ? $", {Html.Escape(codes)} codes" : string.Empty)}");
            Row("Objective", dictionary.Objective is { } objective ? Html.Number(objective) : null);
            Row("Duality gap of the codes, relative", dictionary.DualityGap is { } gap ? Html.Number(gap) : null);
        }

        page.Append("</tbody></table></div>\n");

        void Row(string name, string? value)
        {
            if (value is not null)
            {
                page.Append($"<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>\n");
            }
        }
    }

    private static void WriteSizes(StringBuilder page, Formats.TriedSizes? sizes)
    {
        if (sizes is null)
        {
            return;
        }

        page.Append($"<details>\n<summary>Sizes tried: {Html.Count(sizes.Chosen.Atoms)} atoms chosen</summary>\n<p>{Html.Escape(sizes.Chosen.Why)}. A pole stays where it is beyond chance, returns under a seed of its own, and dictionaries of disjoint thirds of the documents agree on it.</p>\n<div class=\"wrap\"><table><caption>Poles that stay, by atoms and penalty</caption><thead><tr>");
        foreach (var heading in (string[])["Atoms", "Penalty", "Codes a document", "Poles", "Beyond chance", "Return", "Thirds agree", "Stay", "Different", "Documents on them"])
        {
            page.Append($"<th scope=\"col\" class=\"n\">{heading}</th>");
        }

        page.Append("</tr></thead><tbody>\n");
        foreach (var point in sizes.Points.OrderBy(point => point.Atoms).ThenBy(point => point.Nonzeros))
        {
            page.Append($"<tr><th scope=\"row\" class=\"n\">{Html.Count(point.Atoms)}{(sizes.IsChosen(point) ? " (chosen)" : string.Empty)}</th><td class=\"n\">{Html.Number(point.Sparsity)}</td><td class=\"n\">{Html.Number(point.Nonzeros)}</td>");
            foreach (var count in (int[])[point.Poles, point.BeyondChance, point.Returning, point.Agreeing, point.Staying, point.Distinct])
            {
                page.Append($"<td class=\"n\">{Html.Count(count)}</td>");
            }

            page.Append($"<td class=\"n\">{Html.Percent(point.DocumentShare)}</td></tr>\n");
        }

        page.Append("</tbody></table></div>\n</details>\n");
    }

    private static void WriteRejected(StringBuilder page, ReportReading reading)
    {
        if (reading.Rejected.Count == 0)
        {
            return;
        }

        page.Append($"<details>\n<summary>{Html.Of(reading.Rejected.Count, "row")} rejected, with reasons</summary>\n<div class=\"wrap\"><table><caption>Rejected rows{(reading.Rejected.Count > RejectedShown ? $", the first {RejectedShown.ToString(CultureInfo.InvariantCulture)} of {Html.Count(reading.Rejected.Count)}; gatoms docs RUN --rejected lists all" : string.Empty)}</caption><thead><tr><th scope=\"col\">File</th><th scope=\"col\" class=\"n\">Line</th><th scope=\"col\">Reason</th></tr></thead><tbody>\n");
        foreach (var row in reading.Rejected.Take(RejectedShown))
        {
            page.Append($"<tr><td>{Html.Escape(Path.GetFileName(row.File))}</td><td class=\"n\">{Html.Count(row.Line)}</td><td>{Html.Snippet(row.Reason, 300)}</td></tr>\n");
        }

        page.Append("</tbody></table></div>\n</details>\n");
    }

    private static void WriteTuning(StringBuilder page, ReportTuning? tuning)
    {
        if (tuning is null)
        {
            return;
        }

        page.Append($"<h3>Fine-tune</h3>\n<p>{Html.Of(tuning.Steps, "step")}.");
        if (tuning is { HeldOutLossBefore: { } before, HeldOutLossAfter: { } after })
        {
            page.Append($" Loss a token on held-out documents: {Html.Number(before)} nats before, {Html.Number(after)} nats after.");
        }

        page.Append("</p>\n");
        if (tuning.Curve.Count > 1)
        {
            var (last, top) = (tuning.Curve[^1].Step, tuning.Curve.Max(point => point.Loss));
            var points = string.Join(' ', tuning.Curve.Select(point => $"{Html.Pixel(40 + (540.0 * point.Step / Math.Max(last, 1)))},{Html.Pixel(10 + (130 * (1 - (point.Loss / Math.Max(top, 1e-12)))))}"));
            page.Append($"<figure><svg viewBox=\"0 0 600 165\" width=\"600\" height=\"165\" role=\"img\" aria-label=\"Loss by step, from {Html.Number(tuning.Curve[0].Loss)} to {Html.Number(tuning.Curve[^1].Loss)} nats a token\"><path class=\"axis\" d=\"M40 10V140H580\" fill=\"none\"/><polyline class=\"curve\" points=\"{points}\"/><text x=\"34\" y=\"16\" text-anchor=\"end\">{Html.Number(top)}</text><text x=\"34\" y=\"140\" text-anchor=\"end\">0</text><text x=\"580\" y=\"156\" text-anchor=\"end\">step {Html.Count(last)}</text><text x=\"40\" y=\"156\">nats a token</text></svg><figcaption class=\"soft\">Training loss, in nats a trained token</figcaption></figure>\n");
        }
    }

    private static void WriteChecks(StringBuilder page, ReportData data)
    {
        if (data.SelfChecks.Count == 0)
        {
            return;
        }

        page.Append("<div class=\"wrap\"><table class=\"narrow\"><caption>Self-checks, on this run's own documents</caption><thead><tr><th scope=\"col\">Check</th><th scope=\"col\">Result</th><th scope=\"col\">Detail</th></tr></thead><tbody>\n");
        foreach (var check in data.SelfChecks)
        {
            page.Append($"<tr><th scope=\"row\">{Html.Escape(check.Name)}</th><td class=\"{(check.Passed ? "ok\">passed" : "bad\">failed")}</td><td>{Html.Escape(check.Detail)}</td></tr>\n");
        }

        page.Append("</tbody></table></div>\n");
    }

    private static string Code(string text) => $"<code>{Html.Escape(text)}</code>";
}
