using GradientAtoms.Atoms;
using static TorchSharp.torch;

namespace GradientAtoms.Coordinates;

/// <summary>Cosines from a matrix of inner products.</summary>
/// <param name="gram"><c>[N, N]</c>; stays the caller's.</param>
public sealed class GramCosines(Tensor gram) : IDocumentCosines
{
    /// <inheritdoc/>
    public double[,] Cosines(IReadOnlyList<int> documents)
    {
        using var scope = NewDisposeScope();
        var indices = tensor(documents.Select(document => (long)document).ToArray(), dtype: ScalarType.Int64);
        var products = gram.index_select(0, indices).index_select(1, indices).to(ScalarType.Float64); // [n, n]
        var norms = products.diagonal().clamp(min: double.Epsilon).sqrt();
        var cosines = (products / outer(norms, norms)).data<double>().ToArray();
        var result = new double[documents.Count, documents.Count];
        for (var i = 0; i < documents.Count; i++)
        {
            for (var j = 0; j < documents.Count; j++)
            {
                result[i, j] = cosines[(i * documents.Count) + j];
            }
        }

        return result;
    }
}
