using GradientAtoms.DictionaryLearning;
using static TorchSharp.torch;

namespace GradientAtoms.Atoms;

/// <summary>How the documents' whitened energy splits over the atoms.</summary>
/// <param name="Atoms"><c>[K]</c>: the share of each atom. An atom that mostly cancels others can be below zero.</param>
/// <param name="Unexplained">The share that no atom explains. All of them add up to 1.</param>
public sealed record AtomShares(IReadOnlyList<double> Atoms, double Unexplained)
{
    /// <summary>
    /// Refits each document by least squares on the atoms that it encodes on (lasso codes are shrunk), x̂_i = Σ c_ik d_k. As the
    /// residual is orthogonal to those atoms, ‖x̂_i‖² = Σ_k c_ik (d_k·x_i), and the terms of the sum are the atoms' parts.
    /// </summary>
    /// <param name="rows"><c>[N, k]</c>, the rows that were learnt from.</param>
    /// <param name="codes"><c>[N, K]</c>.</param>
    /// <param name="atoms"><c>[K, k]</c>.</param>
    /// <param name="rowEnergies"><c>[N]</c>: ‖w_i‖² of each document before its row was scaled to norm 1; null: all alike.</param>
    public static AtomShares Of(Tensor rows, SparseCodes codes, Tensor atoms, IReadOnlyList<double>? rowEnergies = null)
        => throw new NotSupportedException("being built");
}
