using System.Text;

namespace GradientAtoms.Runs.Reports;

/// <summary>Writes <c>report.html</c>: one file that needs no network, readable in light and dark, and on paper.</summary>
/// <remarks>
/// The page is well-formed XML too. Whatever comes from data or from a model is escaped; a content policy in the page forbids
/// every address besides.
/// </remarks>
public static class ReportPage
{
    /// <summary>The page.</summary>
    /// <param name="data">What it shows.</param>
    /// <returns>HTML. The same data give the same text.</returns>
    public static string Render(ReportData data)
    {
        ArgumentNullException.ThrowIfNull(data);
        var page = new StringBuilder(1 << 18);
        var title = $"{Html.Escape(data.Name)}: what the data teaches";
        page.Append($"""
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8" />
            <meta name="viewport" content="width=device-width, initial-scale=1" />
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'" />
            <meta name="generator" content="gatoms" />
            <title>{title}</title>
            <style>/*<![CDATA[*/
            {Asset("report.css")}/*]]>*/</style>
            </head>
            <body>
            <a class="skip" href="#content">Skip to the content</a>
            <header>
            <h1>{title}</h1>

            """);
        SummarySection.WriteHead(page, data);
        page.Append("</header>\n<main id=\"content\">\n");
        SummarySection.Write(page, data);
        MapFigure.Write(page, data);
        AtomSection.Write(page, data);
        TimelineSection.Write(page, data);
        StructureSection.Write(page, data);
        ModuleSection.Write(page, data);
        LedgerSection.Write(page, data);
        ReadingSection.Write(page, data);
        ProvenanceSection.Write(page, data);
        page.Append($"""
            </main>
            <footer>
            <p>Made by gatoms. This file loads nothing from anywhere.</p>
            </footer>
            <script>//<![CDATA[
            {Asset("report.js")}//]]></script>
            </body>
            </html>

            """);
        return page.Replace("\r\n", "\n").ToString();
    }

    private static string Asset(string name)
    {
        using var stream = typeof(ReportPage).Assembly.GetManifestResourceStream(name)
            ?? throw new InvalidOperationException($"{name} is not built into the assembly");
        using var reader = new StreamReader(stream, Encoding.UTF8);
        return reader.ReadToEnd();
    }
}
