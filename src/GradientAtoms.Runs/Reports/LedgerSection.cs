using System.Text;

namespace GradientAtoms.Runs.Reports;

/// <summary>The energy ledger: what each lossy step kept of the gradients, and what it dropped.</summary>
internal static class LedgerSection
{
    public static bool IsThere(ReportData data) => data.Ledger.Count > 0 || data.Dictionary?.ExplainedShare is not null;

    public static void Write(StringBuilder page, ReportData data)
    {
        if (!IsThere(data))
        {
            return;
        }

        page.Append("""
            <section aria-labelledby="energy">
            <h2 id="energy">Energy ledger</h2>
            <p>How much of the documents' gradient energy each step kept. What a step drops, no atom can show.</p>
            <div class="wrap">
            <table>
            <caption>Steps, in order</caption>
            <thead><tr><th scope="col">Step</th><th scope="col">Of</th><th scope="col" class="n">Kept</th><th scope="col" class="n">Dropped</th><th scope="col" aria-hidden="true"></th></tr></thead>
            <tbody>

            """);
        foreach (var step in data.Ledger)
        {
            Line(page, step.Step, step.Of, step.KeptShare);
        }

        if (data.Dictionary is { } dictionary)
        {
            if (dictionary.ExplainedShare is { } explained)
            {
                Line(page, "explained by the atoms", "coordinates of the documents", explained);
            }

            if (dictionary.HeldOutExplainedShare is { } heldOut)
            {
                Line(page, "explained by the atoms", "coordinates of held-out documents", heldOut);
            }
        }

        page.Append("</tbody>\n</table>\n</div>\n");
        WriteModules(page, data);
        WriteWorst(page, data);
        WeightTable.Write(page, data.Weights);
        page.Append("</section>\n");
    }

    private static void Line(StringBuilder page, string step, string of, double kept) =>
        page.Append($"<tr><th scope=\"row\">{Html.Escape(step)}</th><td>{Html.Escape(of)}</td><td class=\"n\">{Html.Percent(kept)}</td><td class=\"n\">{Html.Percent(1 - kept)}</td><td style=\"min-width:140px\" aria-hidden=\"true\">{AtomSection.Bar(kept)}</td></tr>\n");

    private static void WriteWorst(StringBuilder page, ReportData data)
    {
        if (data.WorstExplained.Count == 0)
        {
            return;
        }

        page.Append("<details>\n<summary>Explained worst</summary>\n<div class=\"wrap\">\n<table>\n<caption>The documents of which the atoms explain least: what they teach, no atom shows. <code>gatoms docs RUN --worst</code> lists more.</caption>\n<thead><tr><th scope=\"col\">Document</th><th scope=\"col\" class=\"n\">Explained</th><th scope=\"col\">Text</th></tr></thead>\n<tbody>\n");
        foreach (var (id, explained) in data.WorstExplained)
        {
            var text = data.Documents.TryGetValue(id, out var document) ? Html.Snippet(document.Prompt.Length > 0 ? $"{document.Prompt} → {document.Answer}" : document.Answer, 160) : string.Empty;
            page.Append($"<tr><th scope=\"row\" class=\"id\">{Html.Snippet(id, 60)}</th><td class=\"n\">{Html.Percent(explained)}</td><td>{text}</td></tr>\n");
        }

        page.Append("</tbody>\n</table>\n</div>\n</details>\n");
    }

    private static void WriteModules(StringBuilder page, ReportData data)
    {
        var steps = data.Ledger.Where(step => step.Modules.Count > 0).ToArray();
        if (steps.Length == 0)
        {
            return;
        }

        page.Append("<details>\n<summary>By module</summary>\n<div class=\"wrap\">\n<table>\n<caption>Energy by module: its part of all before the step, and what the step kept of it</caption>\n<thead><tr><th scope=\"col\">Module</th>");
        foreach (var step in steps)
        {
            page.Append($"<th scope=\"col\" class=\"n\">{Html.Escape(step.Step)}: part</th><th scope=\"col\" class=\"n\">kept</th>");
        }

        page.Append("</tr></thead>\n<tbody>\n");
        var byModule = steps.Select(step => step.Modules.GroupBy(module => module.Module, StringComparer.Ordinal).ToDictionary(group => group.Key, group => group.First(), StringComparer.Ordinal)).ToArray();
        foreach (var module in steps.SelectMany(step => step.Modules.Select(entry => entry.Module)).Distinct(StringComparer.Ordinal))
        {
            page.Append($"<tr><th scope=\"row\"><code>{Html.Escape(module)}</code></th>");
            foreach (var step in byModule)
            {
                page.Append(step.TryGetValue(module, out var energy)
                    ? $"<td class=\"n\">{Html.Percent(energy.ShareOfTotal)}</td><td class=\"n\">{Html.Percent(energy.KeptShare)}</td>"
                    : "<td class=\"n\">–</td><td class=\"n\">–</td>");
            }

            page.Append("</tr>\n");
        }

        page.Append("</tbody>\n</table>\n</div>\n</details>\n");
    }
}
