using GradientAtoms.Coordinates;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>The rotated gradients of a run, or their sketches, read from its shards a range of columns or a few rows at a time.</summary>
/// <remarks>Each shard holds rows [n, d], float32, and <c>documents</c> [n], the document of each row.</remarks>
public sealed class RotatedRows : IRowSource, IDisposable
{
    private readonly SafetensorsFile[] _shards;
    private readonly (int Shard, int Row)[] _places; // by document
    private readonly long[] _order; // row of the stacked shards → document
    private readonly int[] _starts; // by shard, its first row of the stacked ones; then their number

    /// <summary>Opens the shards.</summary>
    /// <param name="paths">Of every shard.</param>
    /// <param name="tensorName">Which of the shards' tensors: <c>rows</c>; <c>whitened</c> or <c>raw</c> where they are sketches.</param>
    /// <exception cref="RunFolderException">GA2610: the shards do not hold every document once.</exception>
    public RotatedRows(IReadOnlyList<string> paths, string tensorName = "rows")
    {
        TensorName = tensorName;
        _shards = [.. paths.Select(SafetensorsFile.Open)];
        var documents = new List<long>();
        foreach (var shard in _shards)
        {
            using var indices = shard.ReadRaw("documents");
            documents.AddRange(indices.data<long>().ToArray());
        }

        _order = [.. documents];
        _places = new (int, int)[documents.Count];
        _starts = new int[_shards.Length + 1];
        var seen = new bool[documents.Count];
        var next = 0;
        for (var shard = 0; shard < _shards.Length; shard++)
        {
            var count = (int)_shards[shard].Entry(tensorName).Shape[0];
            for (var row = 0; row < count; row++, next++)
            {
                var document = documents[next];
                if (document < 0 || document >= seen.Length || seen[document])
                {
                    throw new RunFolderException("GA2610", paths[shard], $"holds document {document} out of place or twice", "Run the same `gatoms audit` again after deleting the run's gradients folder.");
                }

                seen[document] = true;
                _places[document] = (shard, row);
            }

            _starts[shard + 1] = next;
        }

        ColumnCount = _shards.Length == 0 ? 0 : _shards[0].Entry(tensorName).Shape[1];
    }

    /// <summary>Which of the shards' tensors is read.</summary>
    public string TensorName { get; }

    /// <inheritdoc/>
    public int RowCount => _places.Length;

    /// <inheritdoc/>
    public long ColumnCount { get; }

    /// <inheritdoc/>
    public Tensor ReadColumns(long first, long count)
    {
        var columns = empty([RowCount, count], dtype: ScalarType.Float32);
        Parallel.For(0, _shards.Length, new ParallelOptions { MaxDegreeOfParallelism = get_num_threads() }, index =>
            _shards[index].ReadColumns(TensorName, first, columns, _order.AsSpan(_starts[index].._starts[index + 1])));
        return columns;
    }

    /// <inheritdoc/>
    public Tensor ReadRows(IReadOnlyList<int> documents)
    {
        using var scope = NewDisposeScope();
        return cat([.. documents.Select(document => _shards[_places[document].Shard].ReadRows(TensorName, _places[document].Row, 1))]).MoveToOuterDisposeScope();
    }

    /// <summary>What the shards hold beside the rows: a number a document.</summary>
    /// <param name="name">Such as <c>losses</c>, <c>norms</c>: <c>[n]</c>, float64.</param>
    /// <returns><c>[N]</c>, in document order.</returns>
    public double[] ReadValues(string name)
    {
        using var scope = NewDisposeScope();
        var values = new double[_order.Length];
        var stacked = _shards.SelectMany(shard => shard.ReadRaw(name).data<double>().ToArray());
        foreach (var (document, value) in _order.Zip(stacked))
        {
            values[document] = value;
        }

        return values;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var shard in _shards)
        {
            shard.Dispose();
        }
    }
}
