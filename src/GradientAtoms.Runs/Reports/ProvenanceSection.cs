using System.Text;

namespace GradientAtoms.Runs.Reports;

/// <summary>Options, versions and checksums: what it takes to get the same run again.</summary>
internal static class ProvenanceSection
{
    public static void Write(StringBuilder page, ReportData data)
    {
        page.Append("<section aria-labelledby=\"provenance\">\n<h2 id=\"provenance\">Provenance</h2>\n<p>The same inputs, options and versions give the same bytes on the same machine. <code>gatoms verify</code> recomputes the checksums.</p>\n");
        Table(page, "Options, as resolved", "Option", "Value", data.Provenance.Options);
        Table(page, "Versions", "Of", "Version", data.Provenance.Versions);
        Table(page, "Checksums (SHA-256)", "File", "Checksum", data.Provenance.Checksums);
        page.Append("</section>\n");
        SummarySection.WriteWords(page);
    }

    private static void Table(StringBuilder page, string caption, string name, string value, IReadOnlyList<KeyValuePair<string, string>> rows)
    {
        if (rows.Count == 0)
        {
            return;
        }

        page.Append($"<div class=\"wrap\"><table class=\"narrow\"><caption>{caption}</caption><thead><tr><th scope=\"col\">{name}</th><th scope=\"col\">{value}</th></tr></thead><tbody>\n");
        foreach (var row in rows)
        {
            page.Append($"<tr><th scope=\"row\">{Html.Escape(row.Key)}</th><td><code>{Html.Escape(row.Value)}</code></td></tr>\n");
        }

        page.Append("</tbody></table></div>\n");
    }
}
