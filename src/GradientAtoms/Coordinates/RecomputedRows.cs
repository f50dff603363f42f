using GradientAtoms.Curvature;
using GradientAtoms.Gradients;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Coordinates;

/// <summary>
/// Rotated gradients that were not kept: computed again with the model for the documents that are asked for. Owns none of what it
/// is given.
/// </summary>
/// <param name="source">Computes gradients.</param>
/// <param name="all">Every document of the run.</param>
/// <param name="bases">What they are rotated into.</param>
/// <param name="batchTokens">Padded tokens of a batch.</param>
/// <param name="cancellationToken">Looked at once a batch.</param>
public sealed class RecomputedRows(
    AdapterGradientSource source, IReadOnlyList<TokenizedDocument> all, CurvatureBases bases, int batchTokens, CancellationToken cancellationToken = default) : IRowSource
{
    /// <inheritdoc/>
    public int RowCount => all.Count;

    /// <inheritdoc/>
    public long ColumnCount => source.Layout.Size;

    /// <summary>Not possible: a range of columns takes a pass over all documents.</summary>
    /// <exception cref="NotSupportedException">Always.</exception>
    public Tensor ReadColumns(long first, long count) =>
        throw new NotSupportedException("Gradients that were not kept can be computed again for some documents, not for a range of parameters of all of them.");

    /// <inheritdoc/>
    public Tensor ReadRows(IReadOnlyList<int> documents)
    {
        using var scope = NewDisposeScope();
        var rows = new Collector(empty([documents.Count, ColumnCount], dtype: ScalarType.Float32), bases);
        var chosen = documents.Select(index => all[index]).ToList();
        foreach (var batch in BatchPlan.Make([.. chosen.Select(document => document.Tokens.Length)], batchTokens, int.MaxValue).Blocks.SelectMany(block => block))
        {
            cancellationToken.ThrowIfCancellationRequested();
            source.Run(chosen, batch, rows);
        }

        return rows.Rows.MoveToOuterDisposeScope();
    }

    private sealed class Collector(Tensor rows, CurvatureBases bases) : IGradientSink
    {
        public Tensor Rows => rows;

        public void Accept(GradientBatch batch)
        {
            using var scope = NewDisposeScope();
            var rotated = bases.Rotate(batch.Rows().cpu());
            rows.index_copy_(0, tensor(batch.Documents.Select(index => (long)index).ToArray(), dtype: ScalarType.Int64), rotated);
        }
    }
}
