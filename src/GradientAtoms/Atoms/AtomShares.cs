using GradientAtoms.DictionaryLearning;
using static TorchSharp.torch;

namespace GradientAtoms.Atoms;

/// <summary>How the documents' whitened energy splits over the atoms.</summary>
/// <param name="Atoms"><c>[K]</c>: the share of each atom. An atom that mostly cancels others can be below zero.</param>
/// <param name="Unexplained">The share that no atom explains. All of them add up to 1.</param>
public sealed record AtomShares(IReadOnlyList<double> Atoms, double Unexplained)
{
    /// <summary><c>[N]</c>: the share of each document's energy that the atoms explain; null of a document without any.</summary>
    public IReadOnlyList<double?> Documents { get; init; } = [];

    /// <summary><c>[N, K]</c>: the codes of the least-squares fit, where there were codes; null where not kept.</summary>
    public SparseCodes? Refit { get; init; }

    /// <summary>
    /// Refits each document by least squares on the atoms that it encodes on (lasso codes are shrunk), x̂_i = Σ c_ik d_k. As the
    /// residual is orthogonal to those atoms, ‖x̂_i‖² = Σ_k c_ik (d_k·x_i), and the terms of the sum are the atoms' parts.
    /// </summary>
    /// <param name="rows"><c>[N, k]</c>, the rows that were learnt from.</param>
    /// <param name="codes"><c>[N, K]</c>.</param>
    /// <param name="atoms"><c>[K, k]</c>.</param>
    /// <param name="rowEnergies"><c>[N]</c>: ‖w_i‖² of each document before its row was scaled to norm 1; null: all alike.</param>
    public static AtomShares Of(Tensor rows, SparseCodes codes, Tensor atoms, IReadOnlyList<double>? rowEnergies = null) =>
        OfBlocks((int)rows.shape[0], (first, count) => rows.narrow(0, first, count), codes, atoms, rowEnergies);

    /// <summary>The same for rows that are read some at a time, so that they need not be in memory together.</summary>
    /// <param name="rowCount">Rows, N.</param>
    /// <param name="rowsOf">Some of the rows that were learnt from, by the first one and their number: <c>[n, k]</c>. They are disposed.</param>
    /// <param name="codes"><c>[N, K]</c>.</param>
    /// <param name="atoms"><c>[K, k]</c>.</param>
    /// <param name="rowEnergies"><c>[N]</c>: ‖w_i‖² of each document before its row was scaled to norm 1; null: all alike.</param>
    public static AtomShares OfBlocks(int rowCount, Func<int, int, Tensor> rowsOf, SparseCodes codes, Tensor atoms, IReadOnlyList<double>? rowEnergies)
    {
        if (rowCount != codes.DocumentCount || atoms.shape[0] != codes.AtomCount || (rowEnergies is not null && rowEnergies.Count != codes.DocumentCount))
        {
            throw new ArgumentException($"{rowCount} rows, {atoms.shape[0]} atoms and codes [{codes.DocumentCount}, {codes.AtomCount}] do not belong together", nameof(codes));
        }

        var (gram, explained, total) = (SparseCoder.Gram(atoms), new double[codes.AtomCount], 0d);
        var (documents, refits) = (new double?[codes.DocumentCount], new float[codes.Values.Length]);
        using var wide = atoms.to(ScalarType.Float64);
        using var transposed = wide.t();
        var products = new double[Math.Min(SparseCoder.BlockSize, codes.DocumentCount) * codes.AtomCount];
        for (var first = 0; first < codes.DocumentCount; first += SparseCoder.BlockSize)
        {
            var count = Math.Min(SparseCoder.BlockSize, codes.DocumentCount - first);
            using var rows = rowsOf(first, count);
            SparseCoder.Products(rows, transposed, 0, count, ScalarType.Float64, products);
            var norms = SparseCoder.Energies(rows);
            for (var document = first; document < first + count; document++)
            {
                var (weight, norm) = (rowEnergies?[document] ?? 1, norms[document - first]);
                total += weight * norm;
                var used = codes.AtomsOf(document);
                var refit = new double[used.Length];
                var matrix = new double[used.Length, used.Length];
                for (var i = 0; i < used.Length; i++)
                {
                    refit[i] = products[((document - first) * codes.AtomCount) + used[i]];
                    for (var j = 0; j <= i; j++)
                        matrix[i, j] = gram[(used[i] * codes.AtomCount) + used[j]];
                }

                Cholesky.Solve(matrix, refit);
                var own = 0d;
                for (var i = 0; i < used.Length; i++)
                {
                    own += refit[i] * products[((document - first) * codes.AtomCount) + used[i]];
                    refits[codes.RowPointers[document] + i] = (float)refit[i];
                }

                documents[document] = norm > 0 ? own / norm : null;
                for (var i = 0; i < used.Length; i++)
                    explained[used[i]] += weight * refit[i] * products[((document - first) * codes.AtomCount) + used[i]];
            }
        }

        var fitted = new SparseCodes(codes.RowPointers, codes.Columns, refits, codes.AtomCount);
        if (total == 0)
            return new(explained, 1) { Documents = documents, Refit = fitted };
        var shares = explained.Select(energy => energy / total).ToArray();
        return new(shares, 1 - shares.Sum()) { Documents = documents, Refit = fitted };
    }
}
