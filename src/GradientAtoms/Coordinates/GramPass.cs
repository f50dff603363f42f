using GradientAtoms.Gradients;
using static TorchSharp.torch;

namespace GradientAtoms.Coordinates;

/// <summary>Streams the rows once, columns by columns, and forms their products.</summary>
public static class GramPass
{
    /// <summary>Of the product of all rows, which is symmetric, blocks of as many rows are formed from the diagonal on.</summary>
    public const int BlockRows = 256;

    /// <summary>Computes W Wᵀ; products in float32, sums over tiles in float64.</summary>
    /// <param name="rows">Rotated gradients.</param>
    /// <param name="layout">The tracked maps.</param>
    /// <param name="whitening">How to even them out.</param>
    /// <param name="progress">Told after every map.</param>
    /// <param name="cancellationToken">Looked at once a tile.</param>
    /// <returns>w_i · w_j, <c>[N, N]</c>, float64. The caller owns it.</returns>
    public static Tensor Compute(
        IRowSource rows, ParameterLayout layout, Whitening whitening, IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        var whitened = zeros([rows.RowCount, rows.RowCount], dtype: ScalarType.Float64);
        RowTiles.Stream(
            rows,
            layout,
            tile => Add(whitened, tile.Rows.mul_(tile.Of(whitening.Scale))),
            (_, done) => progress?.Report(new("coordinates", done, layout.Maps.Count, "maps")),
            cancellationToken);
        Mirror(whitened);
        return whitened.DetachFromDisposeScope();
    }

    private static void Add(Tensor sums, Tensor rows)
    {
        for (var first = 0L; first < rows.shape[0]; first += BlockRows)
        {
            using var scope = NewDisposeScope();
            var (count, rest) = (Math.Min(BlockRows, rows.shape[0] - first), rows.shape[0] - first);
            sums.narrow(0, first, count).narrow(1, first, rest).add_(rows.narrow(0, first, count).matmul(rows.narrow(0, first, rest).t()));
        }
    }

    // What lies below the blocks on the diagonal.
    private static void Mirror(Tensor sums)
    {
        for (long first = BlockRows; first < sums.shape[0]; first += BlockRows)
        {
            using var scope = NewDisposeScope();
            var count = Math.Min(BlockRows, sums.shape[0] - first);
            sums.narrow(0, first, count).narrow(1, 0, first).copy_(sums.narrow(0, 0, first).narrow(1, first, count).t());
        }
    }
}
