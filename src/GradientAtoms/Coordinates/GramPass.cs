using GradientAtoms.Gradients;
using static TorchSharp.torch;

namespace GradientAtoms.Coordinates;

/// <summary>Where the energy of the gradients lies and what a space keeps of it, a line a tracked map.</summary>
/// <param name="Map">The tracked map.</param>
/// <param name="RawEnergy">Σ over documents of the squared norm of its gradient.</param>
/// <param name="RawKept">The part of it in coordinates that the space keeps.</param>
/// <param name="WhitenedEnergy">Σ over documents of the squared norm of its whitened gradient, kept coordinates.</param>
public sealed record LedgerLine(string Map, double RawEnergy, double RawKept, double WhitenedEnergy);

/// <summary>Products of all whitened documents with one another. Owns its tensor.</summary>
/// <param name="Whitened"><c>[N, N]</c>, float64: w_i · w_j.</param>
/// <param name="Ledger">One line a map.</param>
public sealed record GramMatrix(Tensor Whitened, IReadOnlyList<LedgerLine> Ledger) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose() => Whitened.Dispose();
}

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
    public static GramMatrix Compute(
        IRowSource rows, ParameterLayout layout, Whitening whitening, IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        var whitened = zeros([rows.RowCount, rows.RowCount], dtype: ScalarType.Float64);
        var ledger = new List<LedgerLine>();
        double rawEnergy = 0, rawKept = 0, whitenedEnergy = 0;
        RowTiles.Stream(
            rows,
            layout,
            tile =>
            {
                var scale = tile.Of(whitening.Scale); // [c]
                var energies = tile.Rows.square().sum(0, type: ScalarType.Float64); // [c]
                rawEnergy += energies.sum().item<double>();
                rawKept += (energies * scale.ne(0)).sum().item<double>();
                whitenedEnergy += (energies * scale.to(ScalarType.Float64).square()).sum().item<double>();
                Add(whitened, tile.Rows * scale);
            },
            (map, done) =>
            {
                ledger.Add(new(map.Name, rawEnergy, rawKept, whitenedEnergy));
                (rawEnergy, rawKept, whitenedEnergy) = (0, 0, 0);
                progress?.Report(new("coordinates", done, layout.Maps.Count, "maps"));
            },
            cancellationToken);
        Mirror(whitened);
        return new(whitened.DetachFromDisposeScope(), ledger);
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
