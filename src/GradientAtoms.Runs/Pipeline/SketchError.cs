using GradientAtoms.Coordinates;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>How far sketched cosines are from the true whitened ones.</summary>
/// <param name="RootMeanSquare">Of the differences.</param>
/// <param name="Largest">Of the differences.</param>
/// <param name="CosineRootMeanSquare">Of the true cosines themselves: what the error is to be seen beside.</param>
/// <param name="Pairs">Pairs of documents that were compared.</param>
internal sealed record SketchError(double RootMeanSquare, double Largest, double CosineRootMeanSquare, long Pairs)
{
    /// <summary>Compares all pairs within each shard; a shard at a time is in memory.</summary>
    /// <param name="shards">Files of rotated gradients, <c>rows</c> [n, d].</param>
    /// <param name="whitening">Evens them out.</param>
    /// <param name="projector">The sketch.</param>
    /// <param name="cancellationToken">Looked at once a shard.</param>
    public static SketchError Measure(IReadOnlyList<string> shards, Whitening whitening, SketchProjector projector, CancellationToken cancellationToken)
    {
        var (squares, cosines, largest, pairs) = (0.0, 0.0, 0.0, 0L);
        foreach (var shard in shards)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            using var file = SafetensorsFile.Open(shard);
            var even = file.ReadRaw("rows").mul_(whitening.Scale);
            var (exact, sketched) = (Cosines(even), Cosines(projector.Apply(even)));
            var difference = sketched - exact; // 0 on the diagonal
            var count = even.shape[0];
            if (count < 2)
            {
                continue;
            }

            squares += difference.square().sum().item<double>() / 2;
            cosines += (exact.square().sum().item<double>() - count) / 2;
            largest = Math.Max(largest, difference.abs().max().item<double>());
            pairs += count * (count - 1) / 2;
        }

        var safe = Math.Max(1, pairs);
        return new(Math.Sqrt(squares / safe), largest, Math.Sqrt(cosines / safe), pairs);
    }

    // [n, n], float64.
    private static Tensor Cosines(Tensor rows)
    {
        using var scope = NewDisposeScope();
        var products = rows.matmul(rows.t()).to(ScalarType.Float64);
        var norms = products.diagonal().clamp(min: double.Epsilon).sqrt();
        var cosines = products / outer(norms, norms);
        cosines.diagonal().fill_(1);
        return cosines.MoveToOuterDisposeScope();
    }
}
