using static TorchSharp.torch;

namespace GradientAtoms.Coordinates;

/// <summary>
/// Coordinates of sketched rows as <see cref="GramCoordinates.OfSketches"/> makes them, some rows at a time: twice through the
/// sketches, and no more of them in memory than a block. Owns its mean.
/// </summary>
public sealed class SketchRows : IDisposable
{
    private const int BlockNumbers = 4 << 20;

    private readonly IRowSource _sketches;
    private readonly int _block;
    private readonly Tensor? _mean; // [1, k], float64; null: not taken off

    private SketchRows(IRowSource sketches, int block, Tensor? mean, double meanNorm, double energy)
    {
        _sketches = sketches;
        _block = block;
        _mean = mean?.DetachFromDisposeScope();
        MeanNorm = meanNorm;
        Energy = energy;
    }

    /// <summary>Norm of the mean unit row of the documents that are learnt from: what centring takes away.</summary>
    public double MeanNorm { get; }

    /// <summary>Σ of the sketches' squared norms.</summary>
    public double Energy { get; }

    /// <summary>Goes through the sketches once, for their mean.</summary>
    /// <param name="sketches">Sketched whitened rows; stay the caller's.</param>
    /// <param name="learning">Documents that the mean is over.</param>
    /// <param name="center">Whether the mean is taken off.</param>
    /// <param name="blockDocuments">Rows in memory at a time; null: as many as take 16 MiB.</param>
    /// <param name="cancellationToken">Looked at once a block.</param>
    /// <exception cref="NumericalException">A document has no gradient.</exception>
    public static SketchRows Of(IRowSource sketches, IReadOnlyList<bool> learning, bool center, int? blockDocuments = null, CancellationToken cancellationToken = default)
    {
        var size = blockDocuments ?? (int)Math.Max(1, BlockNumbers / sketches.ColumnCount);
        using var scope = NewDisposeScope();
        var sum = zeros([1, sketches.ColumnCount], dtype: ScalarType.Float64);
        var energy = 0.0;
        foreach (var block in Blocks(sketches, size))
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var inner = NewDisposeScope();
            var rows = sketches.ReadRows(block);
            energy += rows.square().sum(type: ScalarType.Float64).item<double>();
            var learnt = tensor(block.Select(document => learning[document]).ToArray());
            sum.add_(Unit(rows, block[0])[learnt].sum(0, keepdim: true, type: ScalarType.Float64));
        }

        var mean = sum / learning.Count(learn => learn);
        return new(sketches, size, center ? mean : null, mean.norm().item<double>(), energy);
    }

    /// <summary>All rows, block by block in the order of the documents.</summary>
    /// <param name="sink">Gets a block, <c>[n, k]</c>, float32, which lives until it returns.</param>
    /// <param name="cancellationToken">Looked at once a block.</param>
    public void Stream(Action<Tensor> sink, CancellationToken cancellationToken = default)
    {
        foreach (var block in Blocks(_sketches, _block))
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            var unit = Unit(_sketches.ReadRows(block), block[0]);
            sink(_mean is null ? unit : unit.sub_(_mean.to(ScalarType.Float32)));
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _mean?.Dispose();

    private static IEnumerable<int[]> Blocks(IRowSource sketches, int size) => Enumerable.Range(0, sketches.RowCount).Chunk(size);

    private static Tensor Unit(Tensor rows, int first)
    {
        var lengths = rows.square().sum(1, keepdim: true, type: ScalarType.Float64).sqrt(); // [n, 1]
        GramCoordinates.CheckNorms(lengths.flatten(), first);
        return rows / lengths.to(ScalarType.Float32);
    }
}
