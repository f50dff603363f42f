using GradientAtoms.Atoms;

namespace GradientAtoms.Runs.Reports;

/// <summary>A layer and its share of an atom.</summary>
/// <param name="Layer">From 0; null for modules outside of the layers.</param>
/// <param name="Share">Of the lifted direction's squared norm.</param>
public sealed record LayerShare(int? Layer, double Share)
{
    /// <summary>Adds up modules by layer.</summary>
    /// <param name="modules">With their shares.</param>
    /// <returns>In order, those outside of the layers last.</returns>
    public static IEnumerable<LayerShare> Of(IEnumerable<ModuleShare> modules) => modules
        .GroupBy(module => ModuleName.Parse(module.Name).Layer)
        .OrderBy(group => group.Key ?? int.MaxValue)
        .Select(group => new LayerShare(group.Key, group.Sum(module => module.Share)));
}
