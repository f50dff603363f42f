using GradientAtoms.Evaluation;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Steering;

/// <summary>What a positive step does to the documents of its pole.</summary>
public enum SignVerdict
{
    /// <summary>Makes them more likely.</summary>
    More,

    /// <summary>Makes them less likely: the direction has the wrong sign.</summary>
    Less,

    /// <summary>Neither, by twice the standard error over documents.</summary>
    Unclear,
}

/// <summary>Whether "more" is more: measured at a step forward and one back. The changes are of the mean log-likelihood a trained token.</summary>
/// <param name="Step">The size of both steps.</param>
/// <param name="Forward">At +step, mean over documents.</param>
/// <param name="Backward">At −step, mean over documents.</param>
/// <param name="Odd">Half their difference: what turns with the sign, mean over documents.</param>
/// <param name="OddError">Standard error of <paramref name="Odd"/> over documents; NaN for a single one.</param>
/// <param name="Documents">Documents measured.</param>
public sealed record SignCheck(double Step, double Forward, double Backward, double Odd, double OddError, int Documents)
{
    /// <summary>The verdict; a single document has no error and is judged by its sign.</summary>
    public SignVerdict Verdict => Math.Abs(Odd) <= 2 * OddError || Odd == 0 ? SignVerdict.Unclear : Odd > 0 ? SignVerdict.More : SignVerdict.Less;

    /// <summary>Measures.</summary>
    /// <param name="model">The model.</param>
    /// <param name="adapter">θ.</param>
    /// <param name="direction">v.</param>
    /// <param name="documents">The pole's top documents.</param>
    /// <param name="step">A small step, such as a quarter of a calibrated one. Above 0.</param>
    /// <param name="options">Batching, or null for the defaults.</param>
    /// <param name="cancellationToken">Looked at once a batch.</param>
    /// <exception cref="SteeringException">GA1052: no document has a trained token.</exception>
    public static SignCheck Measure(
        CausalLanguageModel model,
        LoraAdapter adapter,
        WeightStep direction,
        IReadOnlyList<TokenizedDocument> documents,
        double step,
        DocumentLossOptions? options = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(step);
        var effect = StepEffect.Measure(model, adapter, [new("", direction, [step, -step])], [new("pole", documents)], options, null, cancellationToken);
        var (forward, backward) = (effect.Cells[0], effect.Cells[1]);
        var odd = MeanWithError.Of(forward.PerDocument.Zip(backward.PerDocument, (one, other) => (one - other) / 2));
        return odd.Count == 0
            ? throw new SteeringException("GA1052", "sign check", "no document of the pole has a trained token", "Give documents of the pole with an answer.")
            : new(step, forward.Change.Mean, backward.Change.Mean, odd.Mean, odd.Error, odd.Count);
    }
}
