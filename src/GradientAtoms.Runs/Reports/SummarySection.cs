using System.Text;

namespace GradientAtoms.Runs.Reports;

/// <summary>The headline, the way around the page, the figures that matter, the caveats and the words.</summary>
internal static class SummarySection
{
    public static void WriteHead(StringBuilder page, ReportData data)
    {
        var poles = data.Atoms.Sum(atom => atom.Poles.Count);
        var adapter = data.Model.AdapterName is { } name ? $" with adapter <code>{Html.Escape(name)}</code>" : string.Empty;
        page.Append($"<p class=\"lead\">{Html.Of(data.Reading.DocumentCount, "document")} of <code>{Html.Escape(data.Reading.File)}</code>, read by <code>{Html.Escape(data.Model.Name)}</code>{adapter}: {Html.Of(data.Atoms.Count, "atom")} with {Html.Of(poles, "pole")}.</p>\n");
        page.Append("<nav aria-label=\"Sections\"><ul>");
        foreach (var (id, text, isThere) in (IEnumerable<(string, string, bool)>)
        [
            ("map", "Map", data.Map.Count > 0), ("atoms", "Atoms", true), ("training", "Over the training", data.Timeline is not null), ("structure", "Structure", StructureSection.IsThere(data)), ("modules", "Modules", ModuleSection.HasModules(data)),
            ("energy", "Energy ledger", LedgerSection.IsThere(data)), ("reading", "What was read", true), ("provenance", "Provenance", true), ("words", "Words", true),
        ])
        {
            page.Append(isThere ? $"<li><a href=\"#{id}\">{text}</a></li>" : string.Empty);
        }

        page.Append("</ul></nav>\n");
    }

    public static void Write(StringBuilder page, ReportData data)
    {
        page.Append("<section aria-label=\"Summary\">\n<ul class=\"cards\">\n");
        Card(page, Html.Count(data.Reading.DocumentCount), "documents used");
        Card(page, Html.Count(data.Reading.Rejected.Count), $"rows rejected of {Html.Count(data.Reading.RowCount)}");
        Card(page, Html.Count(data.Atoms.Count), "atoms that documents encode on");
        if (data.Atoms.Any(atom => atom.HasCertified is not null))
        {
            Card(page, Html.Count(data.Atoms.Count(atom => atom.HasCertified == true)), "of them with a certified pole");
        }

        if (data.Dictionary is { } dictionary)
        {
            Card(page, Html.Number(dictionary.NonzerosPerDocument), "atoms a document encodes on, on average");
            if (dictionary.ExplainedShare is { } explained)
            {
                Card(page, Html.Percent(explained), "of the coordinates' energy explained by the atoms");
            }
        }

        if (data.Coverage is { TrainedParameterCount: > 0 } coverage)
        {
            Card(page, Html.Percent((double)coverage.SeenParameterCount / coverage.TrainedParameterCount), "of the trained parameters looked at");
        }

        if (data.SelfChecks.Count > 0)
        {
            var passed = data.SelfChecks.Count(check => check.Passed);
            Card(page, $"{Html.Count(passed)} of {Html.Count(data.SelfChecks.Count)}", "self-checks passed");
        }

        page.Append("</ul>\n");
        if (data.Caveats.Count > 0)
        {
            page.Append("<h3>What to keep in mind about this run</h3>\n<ul class=\"caveats\">\n");
            foreach (var caveat in data.Caveats)
            {
                page.Append($"<li>{Html.Escape(caveat)}</li>\n");
            }

            page.Append("</ul>\n");
        }

        page.Append("</section>\n");
    }

    /// <summary>What the page's words mean.</summary>
    public static void WriteWords(StringBuilder page) => page.Append("""
        <section aria-labelledby="words">
        <h2 id="words">Words</h2>
        <dl>
        <dt>Document</dt><dd>One row of the data: a chat or a text. Its gradient says how training on it pulls at the weights.</dd>
        <dt>Atom</dt><dd>A direction that the gradients of many documents share. Found without labels; it is a behaviour only where its documents say so.</dd>
        <dt>Pole</dt><dd>An atom's documents of one sign. More of a pole means that its documents become more likely. The two poles of an atom pull against each other.</dd>
        <dt>Code</dt><dd>How strongly a document encodes on an atom. Documents have unit length, so a code lies between −1 and 1.</dd>
        <dt>Coherence</dt><dd>Mean pairwise cosine of a pole's top documents (20 at most), −1 to 1. It says that they pull alike, not that the pole is no chance.</dd>
        <dt>Certified</dt><dd>A pole that stands out more than those of dictionaries learnt on rows of the same covariance and no other structure (false discovery rate .05), helps to reconstruct documents that were not learnt from, and returns under other seeds and in parts of the documents. It is then not chance; whether it is a behaviour, its documents say. Reasons against: support (too few documents), chance, run (nothing in the run is beyond the best of chance), gain, seeds, thirds.</dd>
        <dt>Only</dt><dd>The pole's codes vary with one thing that need be no behaviour (length, position in the file, source, language, format, near-duplicates) by at least half of their variance, beyond what it explains of shuffled codes. A format may be what was taught; a source of long documents may be all that the pole is.</dd>
        <dt>Reference coherence</dt><dd>The same for raw gradients over the atom's top 20 documents by size of code, both signs mixed, as the method's reference has it.</dd>
        <dt>Tokens</dt><dd>Which tokens carry a document's projection on a pole. By loss token: which words' prediction pulls that way. By position: where the network is pulled. Both add up to the projection.</dd>
        <dt>Share</dt><dd>Share of the whitened gradient energy of all documents that the atom explains.</dd>
        </dl>
        </section>

        """);

    private static void Card(StringBuilder page, string figure, string text) => page.Append($"<li><b>{figure}</b><span>{text}</span></li>\n");
}
