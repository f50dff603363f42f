using GradientAtoms.Evaluation;

namespace GradientAtoms.Timelines;

/// <summary>
/// How strongly groups of documents are present at the checkpoints of a fine-tune: how much likelier their trained tokens have become
/// since before it, less the same of the documents that each is compared with.
/// </summary>
/// <remarks>
/// The likelihood is what a fine-tune changes, measured at the checkpoint itself; the weight change along the group's gradients dates
/// worse, since every step moves along what all documents share. The comparison takes off what documents that are asked alike gain from
/// others, such as the template and the manner of answering (docs/experiments.md).
/// </remarks>
public static class PresenceCurves
{
    /// <summary>Measures one group.</summary>
    /// <param name="losses">Of the same documents, <c>[N]</c>, at every checkpoint; the first is before the fine-tune.</param>
    /// <param name="group">The group's documents, <c>[n]</c>.</param>
    /// <param name="matched">The documents that each of them is compared with (see <see cref="Counterparts"/>), <c>[n]</c> lists; those without trained tokens are passed over.</param>
    /// <returns>A point a checkpoint; null where fewer than two documents have something to be compared with.</returns>
    public static PresenceCurve? Of(IReadOnlyList<DocumentLosses> losses, IReadOnlyList<int> group, IReadOnlyList<IReadOnlyList<int>> matched)
    {
        if (losses.Count < 2 || losses.Any(other => other.Sums.Count != losses[0].Sums.Count))
            throw new ArgumentException("needs the losses of the same documents at two checkpoints at least", nameof(losses));
        if (matched.Count != group.Count)
            throw new ArgumentException($"{matched.Count} sets of counterparts for {group.Count} documents", nameof(matched));
        bool IsUsable(int document) => losses[0].Counts[document] > 0;
        var pairs = group.Zip(matched, (document, others) => (Document: document, Others: others.Where(IsUsable).ToArray()))
            .Where(pair => IsUsable(pair.Document) && pair.Others.Length > 0)
            .ToArray();
        return pairs.Length < 2 ? null : new([.. losses.Select(at =>
        {
            double Gain(int document) => at.MeanLogLikelihood(document) - losses[0].MeanLogLikelihood(document);
            double[] mine = [.. pairs.Select(pair => Gain(pair.Document))];
            double[] theirs = [.. pairs.Select(pair => pair.Others.Average(Gain))];
            double[] differences = [.. mine.Zip(theirs, (one, other) => one - other)];
            var mean = differences.Average();
            var variance = differences.Sum(difference => (difference - mean) * (difference - mean)) / (differences.Length - 1);
            return new PresencePoint(mine.Average(), theirs.Average(), mean, Math.Sqrt(variance / differences.Length));
        })]);
    }
}
