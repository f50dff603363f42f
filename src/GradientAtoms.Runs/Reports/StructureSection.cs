using System.Globalization;
using System.Text;
using GradientAtoms.Runs.Formats;

namespace GradientAtoms.Runs.Reports;

/// <summary>How the atoms belong together: trees by direction and by documents, and poles that occur together.</summary>
internal static class StructureSection
{
    private const int ListedPairs = 40;

    public static bool IsThere(ReportData data) => data.Structure is { Atoms.Count: > 1 };

    public static void Write(StringBuilder page, ReportData data)
    {
        if (data.Structure is not { Atoms.Count: > 1 } structure)
        {
            return;
        }

        page.Append("""
            <section aria-labelledby="structure">
            <h2 id="structure">Structure</h2>
            <p>Which atoms belong together. A group's number is the mean similarity at which it joins: 1 is the same, 0 nothing in common.</p>

            """);
        page.Append(structure.Duplicates.Count == 0
            ? "<p>No two atoms are the same direction (mean |cosine| of .9 or more).</p>\n"
            : $"<p>The same direction, found more than once (mean |cosine| of .9 or more): {string.Join("; ", structure.Duplicates.Select(group => string.Join(" = ", group.Select(Link))))}.</p>\n");
        Tree(page, data, structure, "By direction", "|cosine| of the atoms' directions", byDocuments: false);
        Tree(page, data, structure, "By documents", "cosine of the atoms' absolute codes", byDocuments: true);
        Pairs(page, structure);
        page.Append("</section>\n");
    }

    private static void Tree(StringBuilder page, ReportData data, AtomStructure structure, string title, string what, bool byDocuments)
    {
        var words = data.Atoms.ToDictionary(atom => atom.Id, atom => string.Join(" | ", atom.Poles.Select(pole => $"{(pole.Sign > 0 ? "+" : "−")} {pole.Label ?? string.Join(", ", (pole.Keywords ?? []).Take(4))}")), StringComparer.Ordinal);
        page.Append($"<details>\n<summary>{title}: {what}</summary>\n<ul class=\"tree\">\n");
        var depth = 0;
        foreach (var line in structure.Tree(byDocuments).Lines())
        {
            for (; depth > line.Depth; depth--)
            {
                page.Append("</ul></li>\n");
            }

            if (line.Atom is { } atom)
            {
                page.Append($"<li>{Link(structure.Atoms[atom])} <span class=\"soft\">{Html.Snippet(words.GetValueOrDefault(structure.Atoms[atom], string.Empty), 90)}</span></li>\n");
            }
            else
            {
                page.Append($"<li><b>{line.Similarity.ToString("0.00", CultureInfo.InvariantCulture)}</b> {Html.Of(line.Size, "atom")}<ul>\n");
                depth++;
            }
        }

        for (; depth > 0; depth--)
        {
            page.Append("</ul></li>\n");
        }

        page.Append("</ul>\n</details>\n");
    }

    private static void Pairs(StringBuilder page, AtomStructure structure)
    {
        if (structure.Pairs.Count == 0)
        {
            page.Append("<p>No two poles occur together more than chance.</p>\n");
            return;
        }

        page.Append($"<details>\n<summary>Poles that occur together: {Html.Of(structure.Pairs.Count, "pair")} beyond chance</summary>\n<div class=\"wrap\">\n<table class=\"narrow\">\n<caption>Hypergeometric test, Holm over all pairs of poles, .05{(structure.Pairs.Count > ListedPairs ? string.Create(CultureInfo.InvariantCulture, $"; the surest {ListedPairs}, <code>gatoms export csv RUN --table pairs</code> has all") : string.Empty)}. Lift: over what chance gives. Jaccard: of the documents on either, those on both.</caption>\n<thead><tr><th scope=\"col\">Pole</th><th scope=\"col\">Pole</th><th scope=\"col\" class=\"n\">Together</th><th scope=\"col\" class=\"n\">Lift</th><th scope=\"col\" class=\"n\">Jaccard</th></tr></thead>\n<tbody>\n");
        foreach (var pair in structure.Pairs.Take(ListedPairs))
        {
            page.Append($"<tr><td>{Link(pair.First)}</td><td>{Link(pair.Second)}</td><td class=\"n\">{Html.Count(pair.Together)}</td><td class=\"n\">{pair.Lift.ToString("0.0", CultureInfo.InvariantCulture)}</td><td class=\"n\">{pair.Jaccard.ToString("0.00", CultureInfo.InvariantCulture)}</td></tr>\n");
        }

        page.Append("</tbody>\n</table>\n</div>\n</details>\n");
    }

    // Of an atom or a pole.
    private static string Link(string id) => $"<a class=\"id\" href=\"#atom-{Html.Escape(id.TrimEnd('+', '-'))}\">{Html.Escape(id)}</a>";
}
