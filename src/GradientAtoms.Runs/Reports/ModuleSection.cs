using System.Globalization;
using System.Text;

namespace GradientAtoms.Runs.Reports;

/// <summary>Where in the network the atoms live: layers by kinds of module.</summary>
internal static class ModuleSection
{
    public static bool HasModules(ReportData data) => data.Atoms.Any(atom => atom.Modules is { Count: > 0 });

    public static void Write(StringBuilder page, ReportData data)
    {
        if (!HasModules(data))
        {
            return;
        }

        var cells = Cells(data);
        var layers = cells.Keys.Select(key => key.Layer).Distinct().OrderBy(layer => layer ?? int.MaxValue).ToArray();
        var kinds = cells.Keys.Select(key => key.Kind).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToArray();
        var largest = Math.Max(cells.Values.Max(), 1e-12);
        page.Append("""
            <section aria-labelledby="modules">
            <h2 id="modules">Modules</h2>
            <p>Mean over the atoms, weighted by their shares where these are known, of each module's part of the atom's squared norm in the weights. All cells add up to 100 %.</p>
            <div class="wrap">
            <table class="heat narrow">
            <caption>Share of the atoms by layer and kind of module, in %</caption>
            <thead><tr><th scope="col">Layer</th>
            """);
        foreach (var kind in kinds)
        {
            page.Append($"<th scope=\"col\">{Html.Escape(kind)}</th>");
        }

        page.Append("<th scope=\"col\">all</th></tr></thead>\n<tbody>\n");
        foreach (var layer in layers)
        {
            page.Append($"<tr><th scope=\"row\">{(layer is { } number ? number.ToString(CultureInfo.InvariantCulture) : "other")}</th>");
            foreach (var kind in kinds)
            {
                page.Append(cells.TryGetValue((layer, kind), out var share)
                    ? $"<td class=\"h\" style=\"--v:{(0.75 * share / largest).ToString("0.00", CultureInfo.InvariantCulture)}\">{(share * 100).ToString("0.0", CultureInfo.InvariantCulture)}</td>"
                    : "<td>·</td>");
            }

            page.Append($"<td>{(cells.Where(cell => cell.Key.Layer == layer).Sum(cell => cell.Value) * 100).ToString("0.0", CultureInfo.InvariantCulture)}</td></tr>\n");
        }

        page.Append("</tbody>\n</table>\n</div>\n</section>\n");
    }

    /// <summary>Shares by layer and kind; they add up to 1.</summary>
    internal static Dictionary<(int? Layer, string Kind), double> Cells(ReportData data)
    {
        var isWeighted = data.Atoms.All(atom => atom.Modules is null || atom.Share is not null);
        var cells = new Dictionary<(int? Layer, string Kind), double>();
        var sum = 0.0;
        foreach (var atom in data.Atoms)
        {
            var weight = isWeighted ? Math.Max(atom.Share ?? 0, 0) : 1;
            foreach (var module in atom.Modules ?? [])
            {
                var name = ModuleName.Parse(module.Name);
                cells[(name.Layer, name.Kind)] = cells.GetValueOrDefault((name.Layer, name.Kind)) + (weight * module.Share);
                sum += weight * module.Share;
            }
        }

        return cells.ToDictionary(cell => cell.Key, cell => cell.Value / Math.Max(sum, 1e-300));
    }
}
