using static TorchSharp.torch;

namespace GradientAtoms.Coordinates;

/// <summary>
/// Rotated gradients of documents, one a row, wherever they are kept. What is <c>[N, d]</c> is never held in memory: it is read
/// a range of columns or a few rows at a time.
/// </summary>
public interface IRowSource
{
    /// <summary>Documents, N.</summary>
    int RowCount { get; }

    /// <summary>Parameters, d.</summary>
    long ColumnCount { get; }

    /// <summary>A range of columns of every row, in document order.</summary>
    /// <returns><c>[N, count]</c>, float32, on the CPU. The caller owns it.</returns>
    Tensor ReadColumns(long first, long count);

    /// <summary>Some rows, whole.</summary>
    /// <param name="documents">Document indices.</param>
    /// <returns><c>[n, d]</c>, float32, on the CPU. The caller owns it.</returns>
    Tensor ReadRows(IReadOnlyList<int> documents);

    /// <summary>Some rows that follow each other, whole.</summary>
    /// <param name="first">The first document.</param>
    /// <param name="count">How many.</param>
    /// <returns><c>[count, d]</c>. The caller owns it.</returns>
    Tensor ReadBlock(int first, int count) => ReadRows([.. Enumerable.Range(first, count)]);
}

/// <summary>Rows that fit into memory: for tests, and for spaces of small models.</summary>
/// <param name="Rows"><c>[N, d]</c>, float32; stays the caller's.</param>
public sealed record RowsInMemory(Tensor Rows) : IRowSource
{
    /// <inheritdoc/>
    public int RowCount => (int)Rows.shape[0];

    /// <inheritdoc/>
    public long ColumnCount => Rows.shape[1];

    /// <inheritdoc/>
    public Tensor ReadColumns(long first, long count) => Rows.narrow(1, first, count).clone();

    /// <inheritdoc/>
    public Tensor ReadRows(IReadOnlyList<int> documents)
    {
        using var indices = tensor(documents.Select(index => (long)index).ToArray(), dtype: ScalarType.Int64, device: Rows.device);
        return Rows.index_select(0, indices);
    }

    /// <inheritdoc/>
    /// <remarks>A view: nothing is copied.</remarks>
    public Tensor ReadBlock(int first, int count) => Rows.narrow(0, first, count);
}
