using GradientAtoms.Gradients;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Evaluation;

/// <summary>How document losses are computed. None of it changes a loss beyond float32 rounding.</summary>
public sealed record DocumentLossOptions
{
    /// <summary>Tokens of a batch, padding included; a longer document is a batch of its own.</summary>
    public int BatchTokens { get; init; } = 4096;

    /// <summary>Positions whose logits are in memory at a time: this many times V floats, twice.</summary>
    public int LogitPositions { get; init; } = 256;

    /// <summary>Whether the tokens that all documents of a batch begin with (a system prompt) are run once a batch.</summary>
    public bool SharePrefix { get; init; } = true;
}

/// <summary>The losses of documents under a model with adapters.</summary>
/// <param name="Sums"><c>[N]</c>: L_i, minus the sum of the log-probabilities of a document's trained tokens, in nats.</param>
/// <param name="Counts"><c>[N]</c>: trained tokens.</param>
public sealed record DocumentLosses(IReadOnlyList<double> Sums, IReadOnlyList<int> Counts)
{
    /// <summary>The loss a trained token over all documents together; NaN where there is none.</summary>
    public double MeanPerToken => Sums.Sum() / Counts.Sum(count => (long)count);

    /// <summary>A document's mean log-likelihood a trained token; NaN where it has none.</summary>
    public double MeanLogLikelihood(int document) => -Sums[document] / Counts[document];

    /// <summary>Computes losses without gradients. Logits are formed only where a trained token is predicted; sums are float64.</summary>
    /// <param name="model">The model.</param>
    /// <param name="adapters">Added to its weights; may be empty.</param>
    /// <param name="documents">The documents, in any order; a document without trained tokens has loss 0.</param>
    /// <param name="options">Batching, or null for the defaults.</param>
    /// <param name="progress">Told once a batch, in documents.</param>
    /// <param name="cancellationToken">Looked at once a batch.</param>
    /// <returns>In the order of the documents.</returns>
    /// <exception cref="NumericalException">A loss is not finite.</exception>
    public static DocumentLosses Compute(
        CausalLanguageModel model,
        IReadOnlyList<LoraAdapter> adapters,
        IReadOnlyList<TokenizedDocument> documents,
        DocumentLossOptions? options = null,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        options ??= new();
        using var noGradient = no_grad();
        var (sums, counts, done) = (new double[documents.Count], documents.Select(document => document.TrainedCount).ToArray(), 0);
        foreach (var indices in BatchPlan.LongestFirst(documents, document => document.TrainedCount > 0, options.BatchTokens))
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            var prefix = options.SharePrefix && indices.Count > 1 ? CommonPrefix(documents, indices) : 0;
            using var batch = TokenBatch.Of(documents, indices, model.Device, PredictedTokens.Trained, prefix);
            using var cache = prefix > 0 ? PrefixCache(model, adapters, documents[indices[0]].Tokens.AsSpan(0, prefix), indices.Count) : null;
            var hidden = model.HiddenStates(batch.Tokens, new() { Adapters = adapters, Cache = cache }); // [B, T, h]
            var losses = TokenLosses.SumByDocument(TokenLosses.Compute(model, hidden, batch, options.LogitPositions), batch);
            for (var row = 0; row < indices.Count; row++)
            {
                sums[indices[row]] = losses[row];
                if (!double.IsFinite(losses[row]))
                {
                    throw new NumericalException(
                        $"document {documents[indices[row]].Id}", $"its loss is {losses[row]}", "Check that the model's and the adapter's weights are finite.");
                }
            }

            done += indices.Count;
            progress?.Report(new("losses", done, documents.Count, "documents"));
        }

        return new(sums, counts);
    }

    /// <summary>
    /// Tokens that all documents of a batch begin with, as long as the first trained token of each is predicted after them.
    /// </summary>
    private static int CommonPrefix(IReadOnlyList<TokenizedDocument> documents, IReadOnlyList<int> indices)
    {
        var first = documents[indices[0]].Tokens;
        var shared = first.Length;
        foreach (var index in indices)
        {
            shared = Math.Min(shared, Array.IndexOf(documents[index].Trained, true) - 1);
            shared = Math.Min(shared, first.AsSpan().CommonPrefixLength(documents[index].Tokens));
        }

        return Math.Max(0, shared);
    }

    private static Models.Generation.KeyValueCache PrefixCache(
        CausalLanguageModel model, IReadOnlyList<LoraAdapter> adapters, ReadOnlySpan<int> prefix, int batchSize)
    {
        using var scope = NewDisposeScope();
        using var single = model.NewCache();
        var tokens = new long[prefix.Length];
        for (var i = 0; i < tokens.Length; i++)
        {
            tokens[i] = prefix[i];
        }

        model.HiddenStates(tensor(tokens, [1, tokens.Length], device: model.Device), new() { Adapters = adapters, Cache = single });
        return single.Repeat(batchSize);
    }
}
