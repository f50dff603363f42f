using GradientAtoms.Models.Adapters;

namespace GradientAtoms.Runs.Steps;

/// <summary>Writes adapters that were made from a run's adapter as PEFT folders.</summary>
public static class SteeredAdapterFile
{
    /// <summary>Writes one.</summary>
    /// <param name="folder">Made where it does not exist.</param>
    /// <param name="adapter">Its modules may have other ranks than the origin's.</param>
    /// <param name="origin">The configuration of the adapter that it was made from.</param>
    /// <param name="savedModulesFrom">The origin's folder, where modules trained whole belong to the adapter too; null for a delta, which is used beside the origin.</param>
    /// <param name="provenance">Where it comes from (<see cref="StepProvenance"/>), for the weights' metadata; null: nothing is added.</param>
    public static void Write(string folder, LoraAdapter adapter, PeftConfiguration origin, string? savedModulesFrom = null, IReadOnlyDictionary<string, string>? provenance = null)
    {
        // A text model's adapter may come from inside of a multimodal one, where a pattern for whole names has another prefix.
        if (!adapter.Modules.All(module => origin.Targets(module.ModuleName)))
        {
            origin = origin with
            {
                TargetPattern = null, TargetModules = [.. adapter.Modules.Select(module => module.ModuleName)], ExcludedPattern = null, ExcludedModules = [], LayersToTransform = null, LayersPatterns = [],
            };
        }

        // Ranks and alphas by whole module name: right whatever patterns the origin has.
        var rank = adapter.Modules[0].Rank;
        var alpha = adapter.Modules[0].Scale * rank;
        var others = adapter.Modules.Where(module => module.Rank != rank || Math.Abs((module.Scale * module.Rank) - alpha) > 1e-12 * alpha).ToArray();
        PeftAdapter.Save(folder, adapter, origin with
        {
            Rank = rank,
            Alpha = alpha,
            UseRsLora = false,
            RankPattern = [.. others.Select(module => KeyValuePair.Create(module.ModuleName.Replace(".", "\\.", StringComparison.Ordinal), module.Rank))],
            AlphaPattern = [.. others.Select(module => KeyValuePair.Create(module.ModuleName.Replace(".", "\\.", StringComparison.Ordinal), module.Scale * module.Rank))],
        }, savedModulesFrom, provenance);
    }
}
