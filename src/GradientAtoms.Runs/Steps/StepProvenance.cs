using System.Globalization;
using System.Reflection;
using GradientAtoms.Runs.Pipeline;

namespace GradientAtoms.Runs.Steps;

/// <summary>What an exported file says of where it comes from: keys that begin with <c>gradient_atoms.</c>, all values text. No path, no name of a machine, no time: the same step gives the same bytes.</summary>
public static class StepProvenance
{
    /// <summary>Of a step.</summary>
    /// <param name="session">The run.</param>
    /// <param name="step">The step.</param>
    public static IReadOnlyDictionary<string, string> Of(RunSession session, PoleStep step)
    {
        ArgumentNullException.ThrowIfNull(session);
        ArgumentNullException.ThrowIfNull(step);
        string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);
        var said = new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["program"] = "gatoms",
            ["version"] = typeof(StepProvenance).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown",
            ["run"] = session.Folder.Manifest.ContentHash ?? "unknown",
            ["pole"] = step.Id,
            ["direction"] = step.Direction.Origin.Mode.ToString().ToLowerInvariant(),
            ["step"] = Number(step.Size),
        };
        if (step.Removal is { } removal)
        {
            said["removed_share"] = Number(removal.Share);
            said["kl"] = Number(removal.Neutral.Mean);
        }

        if (step.Calibration is { } calibration)
        {
            said["kl_asked"] = Number(calibration.Requested);
            said["kl"] = Number(calibration.Chosen.Neutral.Mean);
        }

        if (step.Unseen is { } unseen)
        {
            said["kl_unseen"] = Number(unseen.Mean);
        }

        return said.ToDictionary(pair => $"gradient_atoms.{pair.Key}", pair => pair.Value, StringComparer.Ordinal);
    }
}
