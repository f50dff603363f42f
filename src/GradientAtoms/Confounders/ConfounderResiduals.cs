using static TorchSharp.torch;

namespace GradientAtoms.Confounders;

/// <summary>Takes off rows what confounders explain of them: the least-squares regression of every coordinate on all of them together.</summary>
public static class ConfounderResiduals
{
    private const int MostStretches = 10;
    private const int LeastDocuments = 8;

    /// <summary>The rows without what the confounders explain.</summary>
    /// <param name="rows"><c>[N, k]</c>; not changed.</param>
    /// <param name="confounders">Each of all N documents. A number counts by ten stretches of its order, of at least eight documents each; a group by itself.</param>
    /// <param name="learning"><c>[N]</c>: documents that the regression is of; the others are corrected by it. Their mean row stays.</param>
    /// <returns>The rest, <c>[N, k]</c>, and the share of the learning rows' energy that was taken off. The caller owns the rows.</returns>
    public static (Tensor Rows, double Share) TakeOff(Tensor rows, IReadOnlyList<Confounder> confounders, IReadOnlyList<bool> learning)
    {
        if (learning.Count != rows.shape[0] || confounders.Any(confounder => confounder.DocumentCount != learning.Count))
            throw new ArgumentException($"confounders or learning documents of other than {rows.shape[0]} rows", nameof(confounders));
        using var scope = NewDisposeScope();
        var used = tensor(learning.ToArray());
        var columns = confounders.SelectMany(confounder => Columns(confounder, learning)).ToArray();
        if (columns.Length == 0)
            return (rows.clone().MoveToOuterDisposeScope(), 0);
        var design = stack([.. columns.Select(column => tensor(column))], dim: 1); // [N, c]
        design = design - design[used].mean([0L], keepdim: true);
        var wide = rows.to(ScalarType.Float64);

        // Stretches and groups overlap, so the design need not be of full rank: the pseudo-inverse takes the smallest solution.
        var weights = linalg.pinv(design[used]).matmul(wide[used]); // [c, k]
        var rest = wide - design.matmul(weights);
        var share = 1 - (rest[used].square().sum().item<double>() / Math.Max(wide[used].square().sum().item<double>(), double.Epsilon));
        return (rest.to(rows.dtype).MoveToOuterDisposeScope(), share);
    }

    // Indicators of levels, those of numbers joined to stretches. Levels of too few learning documents would take these off whole.
    private static IEnumerable<double[]> Columns(Confounder confounder, IReadOnlyList<bool> learning)
    {
        if (!confounder.Varies)
            return [];
        var count = learning.Count(learns => learns);
        var stretches = Math.Max(1, Math.Min(MostStretches, count / LeastDocuments));
        int[] bins = confounder.IsOrdered
            ? [.. confounder.Levels.Select(level => (int)((long)confounder.Before[level] * stretches / confounder.DocumentCount))]
            : confounder.Levels;
        return bins.Where((_, document) => learning[document]).CountBy(bin => bin)
            .Where(bin => bin.Value >= (confounder.IsOrdered ? 2 : LeastDocuments / 2))
            .OrderBy(bin => bin.Key)
            .Select(bin => bins.Select(own => own == bin.Key ? 1.0 : 0.0).ToArray());
    }
}
