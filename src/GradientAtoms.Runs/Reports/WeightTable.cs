using System.Globalization;
using System.Text;
using GradientAtoms.Runs.Pipeline;

namespace GradientAtoms.Runs.Reports;

/// <summary>How much of what the fine-tune did to the weights the atoms explain.</summary>
internal static class WeightTable
{
    private const int ListedAtoms = 8;

    public static void Write(StringBuilder page, WeightAccount? weights)
    {
        if (weights is not { Metrics: [var euclidean, ..] })
        {
            return;
        }

        page.Append($"<h3>The change of the weights</h3>\n<p>Share of ‖θ<sub>tuned</sub> − θ<sub>0</sub>‖² that lies along the atoms' steps{(weights.Start == "assumed" ? "; the adapter was given, so lora_B is taken to have begun at zero, and lora_A not to have moved" : string.Empty)}. {Verdict(euclidean)}</p>\n");
        page.Append("<div class=\"wrap\">\n<table class=\"narrow\">\n<caption>Directions in all, and beside them as many documents drawn at random: any directions explain more, the more there are</caption>\n<thead><tr><th scope=\"col\">Directions</th>");
        foreach (var metric in weights.Metrics)
        {
            page.Append($"<th scope=\"col\" class=\"n\">{Name(metric)}</th><th scope=\"col\" class=\"n\">as many documents</th>");
        }

        page.Append("</tr></thead>\n<tbody>\n");
        if (euclidean is { CertifiedAtoms: { } certified, Certified: not null })
        {
            Row(page, weights, $"{Html.Of(certified, "atom")} with a certified pole", metric => (metric.Certified, metric.CertifiedByDocuments));
        }

        Row(page, weights, $"all {Html.Of(euclidean.Atoms.Count, "atom")}", metric => (metric.All, metric.AllByDocuments));
        Row(page, weights, "the mean document", metric => (metric.MeanDocument, null));
        Row(page, weights, "every document: no atom explains more", metric => (metric.EveryDocument, null));
        page.Append("</tbody>\n</table>\n</div>\n<details>\n<summary>By atom</summary>\n<div class=\"wrap\">\n<table class=\"narrow\">\n<caption>The atoms with the largest share; shares of atoms that lie close together do not add up</caption>\n<thead><tr><th scope=\"col\">Towards</th>");
        foreach (var metric in weights.Metrics)
        {
            page.Append($"<th scope=\"col\" class=\"n\">{Name(metric)}</th>");
        }

        page.Append("</tr></thead>\n<tbody>\n");
        foreach (var atom in euclidean.Atoms.OrderByDescending(atom => atom.Share).Take(ListedAtoms))
        {
            page.Append($"<tr><td class=\"id\"><a href=\"#atom-{Html.Escape(atom.Atom)}\">{Html.Escape(atom.Atom)}{(atom.Cosine < 0 ? "−" : "+")}</a></td>");
            foreach (var metric in weights.Metrics)
            {
                page.Append($"<td class=\"n\">{Cell(metric.Atoms.FirstOrDefault(share => share.Atom == atom.Atom)?.Share)}</td>");
            }

            page.Append("</tr>\n");
        }

        page.Append("</tbody>\n</table>\n</div>\n</details>\n");
    }

    /// <summary>An atom's share in words; empty where it is not known.</summary>
    public static string Of(WeightAccount? weights, string atom)
    {
        string[] told = [.. (weights?.Metrics ?? [])
            .Select(metric => (metric, share: metric.Atoms.FirstOrDefault(share => share.Atom == atom)))
            .Where(pair => pair.share is not null)
            .Select(pair => string.Create(CultureInfo.InvariantCulture, $"{Html.Percent(pair.share!.Share)} {Name(pair.metric)}, towards {(pair.share.Cosine < 0 ? "−" : "+")}"))];
        return told.Length == 0 ? string.Empty : $"<p class=\"soft\">Of the change of the weights: {string.Join("; ", told)}</p>";
    }

    // Said as it is: a small share is no failure of the audit, and a share below chance is none of the atoms' doing.
    private static string Verdict(WeightMetric metric) => metric.All <= metric.AllByDocuments
        ? "All atoms together explain no more of it than as many documents drawn at random."
        : metric.All < 0.5
            ? $"All atoms together explain {Html.Percent(metric.All)}: most of what the fine-tune did lies in no atom."
            : $"All atoms together explain {Html.Percent(metric.All)}.";

    private static void Row(StringBuilder page, WeightAccount weights, string name, Func<WeightMetric, (double? Share, double? Documents)> of)
    {
        page.Append($"<tr><th scope=\"row\">{name}</th>");
        foreach (var metric in weights.Metrics)
        {
            var (share, documents) = of(metric);
            page.Append($"<td class=\"n\">{Cell(share)}</td><td class=\"n\">{Cell(documents)}</td>");
        }

        page.Append("</tr>\n");
    }

    private static string Cell(double? share) => share is { } value ? Html.Percent(value) : "–";

    private static string Name(WeightMetric metric) => metric.Name == "curvature" ? "weighted with the curvature" : "Euclidean";
}
