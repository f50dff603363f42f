namespace GradientAtoms.Models.Adapters;

/// <summary>An adapter that is damaged, of a kind that is not known, or of another model. Codes GA24xx.</summary>
public sealed class AdapterException(string code, string location, string problem, string remedy, Exception? innerException = null)
    : GradientAtomsException(code, location, problem, remedy, innerException)
{
    /// <summary>GA2406: a configuration targets no module of a model.</summary>
    /// <param name="location">The adapter, or the option that named the targets.</param>
    /// <param name="configuration">The targets.</param>
    /// <param name="architecture">The model's.</param>
    /// <param name="moduleNames">The model's linear modules.</param>
    public static AdapterException NoTarget(string location, PeftConfiguration configuration, string architecture, IEnumerable<string> moduleNames) => new(
        "GA2406",
        location,
        $"targets {configuration.TargetPattern ?? string.Join(", ", configuration.TargetModules)}, and no module of the {architecture} model is one",
        $"The model has {string.Join(", ", moduleNames.Select(name => name[(name.LastIndexOf('.') + 1)..]).Distinct(StringComparer.Ordinal))}.");
}
