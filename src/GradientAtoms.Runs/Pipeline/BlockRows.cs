using GradientAtoms.Gradients;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>What a pass keeps of the documents of a block: their indices, their losses, and rows of any kind.</summary>
/// <param name="count">Documents of the block.</param>
/// <param name="rowsOf">What is kept of a batch, by name: tensors with a row a document.</param>
internal sealed class BlockRows(int count, Func<GradientBatch, IReadOnlyList<(string Name, Tensor Rows)>> rowsOf) : IGradientSink, IDisposable
{
    private readonly Dictionary<string, Tensor> _kept = new(StringComparer.Ordinal);
    private readonly List<long> _documents = [];
    private readonly List<double> _losses = [];
    private int _lastBatch;

    public void Accept(GradientBatch batch)
    {
        using var scope = NewDisposeScope();
        _lastBatch = batch.Documents.Count;
        foreach (var (name, rows) in rowsOf(batch))
        {
            if (!_kept.TryGetValue(name, out var all))
            {
                all = _kept[name] = empty([count, .. rows.shape[1..]], dtype: rows.dtype).DetachFromDisposeScope();
            }

            all.narrow(0, _documents.Count, _lastBatch).copy_(rows);
        }

        _documents.AddRange(batch.Documents.Select(document => (long)document));
        _losses.AddRange(batch.Losses);
    }

    /// <summary>Of the last batch, in nats a trained token.</summary>
    public double LastMeanLoss(IReadOnlyList<TokenizedDocument> documents) =>
        _losses.TakeLast(_lastBatch).Sum() / _documents.TakeLast(_lastBatch).Sum(document => (double)documents[(int)document].TrainedCount);

    public void Write(string path)
    {
        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(path,
        [
            .. _kept.Select(pair => (pair.Key, pair.Value)),
            ("documents", tensor(_documents.ToArray(), dtype: ScalarType.Int64)),
            ("losses", tensor(_losses.ToArray(), dtype: ScalarType.Float64)),
        ]);
    }

    public void Dispose()
    {
        foreach (var rows in _kept.Values)
        {
            rows.Dispose();
        }
    }
}
