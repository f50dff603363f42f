using System.Diagnostics;
using GradientAtoms.Gradients;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Planning;
using GradientAtoms.Runs.Stages;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>Measures how fast this machine does what an audit does, in a few seconds beyond loading the model, so that plans are about this machine.</summary>
public static class SpeedProbe
{
    /// <summary>Seconds since some moment. A benchmark on a busy machine takes those of the processor, on both sides.</summary>
    internal static Func<double> Clock { get; set; } = () => Stopwatch.GetTimestamp() / (double)Stopwatch.Frequency;

    private const int MatrixSize = 2048;
    private const long DiskProbe = 64L << 20;
    private const double ModelSeconds = 6;

    /// <summary>Measures.</summary>
    /// <param name="model">The model; its weights are loaded.</param>
    /// <param name="options">The audit.</param>
    /// <param name="documents">Its documents, one at least.</param>
    /// <param name="progress">Told once a measurement.</param>
    /// <param name="cancellationToken">Looked at once a batch.</param>
    public static Speeds Measure(ModelFiles model, AuditOptions options, IReadOnlyList<TokenizedDocument> documents, IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        using var scope = NewDisposeScope();
        progress?.Report(new("probe", 0, 3, "measurements"));
        var matrix = MatrixFlops();
        progress?.Report(new("probe", 1, 3, "measurements", FormattableString.Invariant($"matrix products {matrix / 1e9:f0} GFLOP/s")));
        var disk = DiskBytes(options.Out);
        progress?.Report(new("probe", 2, 3, "measurements", FormattableString.Invariant($"disk {disk / 1e6:f0} MB/s with checksums")));
        var speeds = WithModel(new() { MatrixFlops = matrix, DiskBytes = disk }, model, options, documents, cancellationToken);
        progress?.Report(new("probe", 3, 3, "measurements", FormattableString.Invariant($"{speeds.TokensPerSecond(model.Description.ParameterCount):f0} tokens/s")));
        return speeds;
    }

    /// <summary>What this machine does in float32 matrix products: the best of some products of two square matrices of 2,048 rows.</summary>
    /// <returns>Floating-point operations a second.</returns>
    internal static double MatrixFlops()
    {
        using var scope = NewDisposeScope();
        var (left, right, best) = (rand([MatrixSize, MatrixSize]), rand([MatrixSize, MatrixSize]), double.PositiveInfinity);
        for (var i = 0; i < 4; i++)
        {
            var start = Clock();
            using var product = left.matmul(right);
            best = Math.Min(best, Clock() - start);
        }

        return 2.0 * MatrixSize * MatrixSize * MatrixSize / best;
    }

    // What a block of rows goes through: written, hashed, read again.
    private static double DiskBytes(string runPath)
    {
        using var scope = NewDisposeScope();
        var folder = new DirectoryInfo(Path.GetFullPath(runPath));
        while (!folder.Exists && folder.Parent is { } parent)
        {
            folder = parent;
        }

        var path = Path.Combine(folder.FullName, $".gatoms-probe-{Guid.NewGuid():n}");
        try
        {
            var (values, best) = (rand([DiskProbe / sizeof(float)]), double.PositiveInfinity);
            for (var i = 0; i < 3; i++)
            {
                var start = Clock();
                SafetensorsWriter.Write(path, [("rows", values)]);
                FileHash.OfFile(path);
                using (var file = SafetensorsFile.Open(path))
                {
                    file.ReadRaw("rows").Dispose();
                }

                best = Math.Min(best, Clock() - start);
            }

            return DiskProbe / best;
        }
        finally
        {
            File.Delete(path);
        }
    }

    // Batches as the pass has them, spread over its lengths.
    private static Speeds WithModel(Speeds speeds, ModelFiles model, AuditOptions options, IReadOnlyList<TokenizedDocument> documents, CancellationToken cancellationToken)
    {
        var loaded = model.Loaded.Model;
        using var adapter = options.Adapter is { } folder
            ? PeftAdapter.Load(folder, loaded)
            : LoraAdapter.Create(loaded, AdapterStage.FreshConfiguration(options, model.Description), (ulong)RandomStream.Seed(options.Seed, "adapter"));
        var source = new AdapterGradientSource(loaded, adapter);
        IReadOnlyList<int>[] batches = [.. BatchPlan.Make([.. documents.Select(document => document.Tokens.Length)], options.BatchTokens, CurvaturePass.BlockDocuments(documents.Count, source.Layout.Size)).Blocks.SelectMany(block => block)];
        // Not timed: the first batch of a process pays for what is compiled and allocated once. The heaviest, for what a batch takes at most.
        var before = ProcessMemory.ResetPeak();
        source.Run(documents, batches.MaxBy(batch => (long)batch.Count * batch.Max(document => documents[document].Tokens.Length))!, new Forget());
        var activations = ProcessMemory.Peak() - before;
        var (seconds, tokens) = (0.0, 0L);
        for (var step = 0; step < batches.Length && (step < 2 || seconds < ModelSeconds); step++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var batch = batches[Spread(step, batches.Length)];
            var start = Clock();
            source.Run(documents, batch, new Forget());
            seconds += Clock() - start;
            tokens += batch.Sum(document => (long)documents[document].Tokens.Length);
        }

        return speeds.WithTokensPerSecond(tokens / seconds, model.Description.ParameterCount) with { ActivationBytes = before > 0 && activations > 0 ? activations : null };
    }

    // 1/2, 1/4, 3/4, 1/8, 5/8, …: any number of them is spread over the whole range (van der Corput's sequence).
    private static int Spread(int step, int count)
    {
        var (value, share) = (0.0, 0.5);
        for (var rest = step + 1; rest > 0; rest >>= 1, share /= 2)
        {
            value += (rest & 1) * share;
        }

        return (int)(value * count);
    }

    // What the pass does beside the gradients is in the plan by itself.
    private sealed class Forget : IGradientSink
    {
        public void Accept(GradientBatch batch) => batch.Rows().Dispose();
    }
}
