using GradientAtoms.Evaluation;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Steering;

/// <summary>A direction and the steps to take along it.</summary>
/// <param name="Name">For the table.</param>
/// <param name="Direction">v.</param>
/// <param name="Steps">Negative ones take the way back.</param>
public sealed record StepArm(string Name, WeightStep Direction, IReadOnlyList<double> Steps);

/// <summary>Documents whose change is reported together; on-target and off-target ones are never pooled.</summary>
/// <param name="Name">For the table.</param>
/// <param name="Documents">The documents.</param>
public sealed record DocumentGroup(string Name, IReadOnlyList<TokenizedDocument> Documents)
{
    /// <summary>
    /// The documents' losses without a step, where they have been computed, so that many measurements share them; null: each
    /// measurement computes them. They must be of the same model, adapter and options: <see cref="WithUnsteered"/>.
    /// </summary>
    public DocumentLosses? Unsteered { get; init; }

    /// <summary>The same group with the losses of its documents without a step.</summary>
    /// <param name="model">The model.</param>
    /// <param name="adapter">θ.</param>
    /// <param name="options">Batching, or null for the defaults.</param>
    /// <param name="cancellationToken">Looked at once a batch.</param>
    public DocumentGroup WithUnsteered(CausalLanguageModel model, LoraAdapter adapter, DocumentLossOptions? options = null, CancellationToken cancellationToken = default) =>
        this with { Unsteered = DocumentLosses.Compute(model, [adapter], Documents, options, cancellationToken: cancellationToken) };
}

/// <summary>A mean over documents.</summary>
/// <param name="Mean">NaN where there is none.</param>
/// <param name="Error">Standard error of the mean; NaN for less than two.</param>
/// <param name="Count">Documents.</param>
public sealed record MeanWithError(double Mean, double Error, int Count)
{
    /// <summary>Of values; those that are NaN are left out.</summary>
    public static MeanWithError Of(IEnumerable<double> values)
    {
        var kept = values.Where(value => !double.IsNaN(value)).ToArray();
        var mean = kept.Length == 0 ? double.NaN : kept.Average();
        var variance = kept.Length < 2 ? double.NaN : kept.Sum(value => (value - mean) * (value - mean)) / (kept.Length - 1);
        return new(mean, Math.Sqrt(variance / kept.Length), kept.Length);
    }
}

/// <summary>What one step does to one group of documents.</summary>
/// <param name="Arm">The arm's name.</param>
/// <param name="Step">The step.</param>
/// <param name="Group">The group's name.</param>
/// <param name="PerDocument">Change of each document's mean log-likelihood a trained token, steered less unsteered; NaN where it has none.</param>
/// <param name="Change">Their mean over documents, paired with the unsteered model.</param>
/// <param name="ChangePerToken">The same over all trained tokens of the group together.</param>
public sealed record StepEffectCell(string Arm, double Step, string Group, IReadOnlyList<double> PerDocument, MeanWithError Change, double ChangePerToken);

/// <summary>What steps do to the likelihood of documents.</summary>
/// <param name="Unsteered">Of each group, the losses without a step.</param>
/// <param name="Cells">By arm, step and group, in the order given.</param>
public sealed record StepEffect(IReadOnlyList<DocumentLosses> Unsteered, IReadOnlyList<StepEffectCell> Cells)
{
    /// <summary>
    /// Measures every step of every arm on every group: one pass over the documents a step, and one for the unsteered model where
    /// a group does not bring its losses. A group is run by itself: its numbers do not depend on the others.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="adapter">θ.</param>
    /// <param name="arms">Directions and their steps.</param>
    /// <param name="groups">Documents; the same one may be in several groups, and is then computed several times.</param>
    /// <param name="options">Batching, or null for the defaults.</param>
    /// <param name="progress">Told once a step.</param>
    /// <param name="cancellationToken">Looked at once a batch.</param>
    /// <exception cref="ArgumentException">The unsteered losses of a group are not those of its documents.</exception>
    public static StepEffect Measure(
        CausalLanguageModel model,
        LoraAdapter adapter,
        IReadOnlyList<StepArm> arms,
        IReadOnlyList<DocumentGroup> groups,
        DocumentLossOptions? options = null,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        foreach (var group in groups)
        {
            if (group.Unsteered is { } given && !given.Counts.SequenceEqual(group.Documents.Select(document => document.TrainedCount)))
            {
                throw new ArgumentException($"the unsteered losses of group {group.Name} are of other documents", nameof(groups));
            }
        }

        IReadOnlyList<DocumentGroup> measured = [.. groups.Select(group => group.Unsteered is null ? group.WithUnsteered(model, adapter, options, cancellationToken) : group)];
        var (cells, total) = (new List<StepEffectCell>(), arms.Sum(arm => arm.Steps.Count));
        var done = 0;
        foreach (var arm in arms)
        {
            foreach (var step in arm.Steps)
            {
                using var steeredAdapter = arm.Direction.ToAdapter(adapter, step);
                foreach (var group in measured)
                {
                    var steered = DocumentLosses.Compute(model, [steeredAdapter], group.Documents, options, cancellationToken: cancellationToken);
                    cells.Add(Cell(arm.Name, step, group, steered));
                }

                progress?.Report(new("step effects", ++done, total, "steps", arm.Name));
            }
        }

        return new([.. measured.Select(group => group.Unsteered!)], cells);
    }

    private static StepEffectCell Cell(string arm, double step, DocumentGroup group, DocumentLosses steered)
    {
        var unsteered = group.Unsteered!;
        var range = Enumerable.Range(0, group.Documents.Count);
        var perDocument = range.Select(i => steered.MeanLogLikelihood(i) - unsteered.MeanLogLikelihood(i)).ToArray();
        return new(arm, step, group.Name, perDocument, MeanWithError.Of(perDocument), unsteered.MeanPerToken - steered.MeanPerToken);
    }
}
