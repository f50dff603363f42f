using static TorchSharp.torch;

namespace GradientAtoms.Curvature;

/// <summary>
/// EKFAC eigenvalues, measured: λ_ij = mean over documents of (q_S,iᵀ G q_A,j)², where G is a document's whole gradient. Sums
/// in float64. Owns its tensor.
/// </summary>
public sealed class EkfacEigenvalues : IDisposable
{
    private const long PartEntries = 1 << 20;

    /// <summary>Starts from nothing.</summary>
    /// <param name="size">Parameters, d.</param>
    public EkfacEigenvalues(long size)
        : this(zeros(size, dtype: ScalarType.Float64), documentCount: 0)
    {
    }

    /// <summary>Goes on from a sum that was kept. Takes over the tensor.</summary>
    /// <param name="squares">Sum of squares, <c>[d]</c>, float64.</param>
    /// <param name="documentCount">Documents in it.</param>
    public EkfacEigenvalues(Tensor squares, long documentCount)
    {
        Squares = squares.DetachFromDisposeScope();
        DocumentCount = documentCount;
    }

    /// <summary>Sum of squares, <c>[d]</c>, float64; it stays this object's.</summary>
    public Tensor Squares { get; }

    /// <summary>Documents in the sum.</summary>
    public long DocumentCount { get; private set; }

    /// <summary>Adds documents.</summary>
    /// <param name="rotated"><c>[n, d]</c>, in the eigenbases.</param>
    public void Add(Tensor rotated)
    {
        // Sums in float64 take a copy of what is summed: a part of the columns at a time.
        var columns = Math.Max(1, PartEntries / Math.Max(1, rotated.shape[0]));
        for (var first = 0L; first < rotated.shape[1]; first += columns)
        {
            using var scope = NewDisposeScope();
            var count = Math.Min(columns, rotated.shape[1] - first);
            Squares.narrow(0, first, count).add_(rotated.narrow(1, first, count).square().sum(0, type: ScalarType.Float64));
        }

        DocumentCount += rotated.shape[0];
    }

    /// <summary>The eigenvalues.</summary>
    /// <returns><c>[d]</c>, float64. The caller owns it.</returns>
    public Tensor Values() => Squares / Math.Max(DocumentCount, 1);

    /// <inheritdoc/>
    public void Dispose() => Squares.Dispose();
}
