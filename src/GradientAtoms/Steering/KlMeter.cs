using GradientAtoms.Gradients;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Steering;

/// <summary>KL(unsteered ‖ steered) over the predicted tokens of some documents, in nats.</summary>
/// <param name="Mean">Per token, over all tokens of all documents.</param>
/// <param name="Percentile95">The 95th percentile over tokens.</param>
/// <param name="PerDocument"><c>[N]</c>: the mean per token of each document, in their order; NaN where it has no token.</param>
/// <param name="Tokens">Tokens in all.</param>
/// <param name="LogLikelihoodChange">
/// Of the trained tokens, steered less unsteered, per trained token over all documents; null where no token is trained.
/// </param>
public sealed record KlStatistics(double Mean, double Percentile95, IReadOnlyList<double> PerDocument, int Tokens, double? LogLikelihoodChange);

/// <summary>
/// Measures how far steered predictions are from unsteered ones on the same documents: every token but the first, whoever
/// wrote it. Keeps the unsteered hidden states, <c>[tokens, h]</c>; the unsteered distributions are formed again from them,
/// since a V-vector a token would be some 100 times larger. Owns its tensors.
/// </summary>
public sealed class KlMeter : IDisposable
{
    private readonly CausalLanguageModel _model;
    private readonly IReadOnlyList<TokenizedDocument> _documents;
    private readonly KlMeterOptions _options;
    private readonly List<(TokenBatch Batch, Tensor Hidden)> _batches = [];

    /// <summary>Runs the unsteered model.</summary>
    /// <param name="model">The model, which must outlive the meter.</param>
    /// <param name="unsteered">The adapters without any step; may be empty.</param>
    /// <param name="documents">The documents; masks are ignored.</param>
    /// <param name="options">Batching, or null for the defaults.</param>
    /// <param name="cancellationToken">Looked at once a batch.</param>
    public KlMeter(
        CausalLanguageModel model,
        IReadOnlyList<LoraAdapter> unsteered,
        IReadOnlyList<TokenizedDocument> documents,
        KlMeterOptions? options = null,
        CancellationToken cancellationToken = default)
    {
        (_model, _documents, _options) = (model, documents, options ?? new());
        using var noGradient = no_grad();
        try
        {
            foreach (var indices in BatchPlan.LongestFirst(documents, document => document.Tokens.Length > 1, _options.BatchTokens))
            {
                cancellationToken.ThrowIfCancellationRequested();
                var batch = TokenBatch.Of(documents, indices, model.Device, PredictedTokens.All);
                try
                {
                    _batches.Add((batch, Hidden(unsteered, batch).DetachFromDisposeScope()));
                }
                catch
                {
                    batch.Dispose();
                    throw;
                }
            }
        }
        catch
        {
            Dispose();
            throw;
        }

        if (_batches.Count == 0)
        {
            throw new SteeringException("GA1052", "KL documents", "no document has two tokens", "Give neutral prompts of at least a sentence.");
        }
    }

    /// <summary>What it measures on.</summary>
    public IReadOnlyList<TokenizedDocument> Documents => _documents;

    /// <summary>Measures.</summary>
    /// <param name="steered">The adapters with the step: the exact adapter in place of the unsteered one, or that one and a delta.</param>
    /// <param name="cancellationToken">Looked at once a batch.</param>
    /// <exception cref="NumericalException">The steered model's logits are not finite.</exception>
    public KlStatistics Measure(IReadOnlyList<LoraAdapter> steered, CancellationToken cancellationToken = default)
    {
        using var noGradient = no_grad();
        var perDocument = new double[_documents.Count];
        Array.Fill(perDocument, double.NaN);
        var all = new List<double>();
        var (change, trained) = (0.0, 0);
        foreach (var (batch, unsteeredHidden) in _batches)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            var (divergences, changes) = Compare(batch, unsteeredHidden, Hidden(steered, batch));
            var at = 0;
            for (var row = 0; row < batch.Documents.Count; row++)
            {
                var document = divergences.AsSpan(at, batch.Counts[row]);
                var sum = 0.0;
                foreach (var divergence in document)
                {
                    sum += divergence;
                    all.Add(divergence);
                }

                if (!double.IsFinite(sum))
                {
                    throw new NumericalException($"document {_documents[batch.Documents[row]].Id}", "the steered model's predictions are not finite", "Use a smaller step.");
                }

                // Entry i of a document predicts its token i + 1.
                var mask = _documents[batch.Documents[row]].Trained;
                for (var i = 0; i < document.Length; i++)
                {
                    if (mask[i + 1])
                    {
                        change += changes[at + i];
                        trained++;
                    }
                }

                perDocument[batch.Documents[row]] = sum / document.Length;
                at += document.Length;
            }
        }

        all.Sort();
        return new(all.Sum() / all.Count, Percentile(all, 0.95), perDocument, all.Count, trained == 0 ? null : change / trained);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var (batch, hidden) in _batches)
        {
            batch.Dispose();
            hidden.Dispose();
        }
    }

    private Tensor Hidden(IReadOnlyList<LoraAdapter> adapters, TokenBatch batch)
    {
        using var scope = NewDisposeScope();
        return _model.HiddenStates(batch.Tokens, new() { Adapters = adapters }).flatten(0, 1).index_select(0, batch.Predicting).MoveToOuterDisposeScope(); // [n, h]
    }

    /// <summary>The KL of each position, and how much likelier its token is steered than unsteered; both <c>[n]</c>.</summary>
    private (float[] Divergences, float[] Changes) Compare(TokenBatch batch, Tensor unsteeredHidden, Tensor steeredHidden)
    {
        var count = (int)unsteeredHidden.shape[0];
        var (divergences, changes) = (new float[count], new float[count]);
        for (var start = 0; start < count; start += _options.LogitPositions)
        {
            using var scope = NewDisposeScope();
            var length = Math.Min(_options.LogitPositions, count - start);
            var unsteered = nn.functional.log_softmax(_model.Logits(unsteeredHidden.narrow(0, start, length)), dim: 1); // [n', V]
            var steered = nn.functional.log_softmax(_model.Logits(steeredHidden.narrow(0, start, length)), dim: 1);
            var targets = batch.Targets.narrow(0, start, length).unsqueeze(1);
            (steered.gather(1, targets) - unsteered.gather(1, targets)).cpu().data<float>().CopyTo(changes, start);

            // KL = Σ p (δ + e^−δ − 1) with δ = log p − log q, since Σ p e^−δ = Σ q = 1. No term is negative, so a small KL is
            // not lost in the rounding of terms that cancel. The clamp keeps p e^−δ from overflowing where p is all but 0.
            var difference = (unsteered - steered).clamp_(min: -80);
            var terms = difference.neg().expm1_().add_(difference).mul_(unsteered.exp_());
            terms.sum(1).cpu().data<float>().CopyTo(divergences, start);
        }

        return (divergences, changes);
    }

    private static double Percentile(List<double> sorted, double share)
    {
        var position = share * (sorted.Count - 1);
        var below = (int)position;
        var above = Math.Min(below + 1, sorted.Count - 1);
        return sorted[below] + ((sorted[above] - sorted[below]) * (position - below));
    }
}

/// <summary>How KL is computed; none of it changes a number beyond float32 rounding.</summary>
public sealed record KlMeterOptions
{
    /// <summary>Tokens of a batch, padding included; a longer document is a batch of its own.</summary>
    public int BatchTokens { get; init; } = 2048;

    /// <summary>Positions whose logits are in memory at a time: this many times V floats, about four times.</summary>
    public int LogitPositions { get; init; } = 128;
}
