using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Gradients;

/// <summary>Which tokens of a document are looked at.</summary>
public enum PredictedTokens
{
    /// <summary>The tokens of the loss.</summary>
    Trained,

    /// <summary>Every token but the first, whoever wrote it.</summary>
    All,
}

/// <summary>
/// Documents side by side, padded on the right, with the positions that predict tokens that are looked at. Positions are listed
/// document by document, so that a document's entries lie side by side. Owns its tensors.
/// </summary>
public sealed class TokenBatch : IDisposable
{
    private TokenBatch(IReadOnlyList<int> documents, Tensor tokens, Tensor attended, Tensor predicting, Tensor targets, IReadOnlyList<int> counts)
    {
        Documents = documents;
        Tokens = tokens.DetachFromDisposeScope();
        Attended = attended.DetachFromDisposeScope();
        Predicting = predicting.DetachFromDisposeScope();
        Targets = targets.DetachFromDisposeScope();
        Counts = counts;
    }

    /// <summary>Which documents, as indices into the list that the batch was made from, <c>[B]</c>.</summary>
    public IReadOnlyList<int> Documents { get; }

    /// <summary><c>[B, T]</c>, int64.</summary>
    public Tensor Tokens { get; }

    /// <summary>Flat positions (row · T + column) that hold a token and no padding, <c>[tokens]</c>, int64.</summary>
    public Tensor Attended { get; }

    /// <summary>Flat positions that predict a token that is looked at, <c>[P]</c>, int64.</summary>
    public Tensor Predicting { get; }

    /// <summary>The tokens that they predict, <c>[P]</c>, int64.</summary>
    public Tensor Targets { get; }

    /// <summary>How many of the P are each document's, <c>[B]</c>.</summary>
    public IReadOnlyList<int> Counts { get; }

    /// <summary>Makes a batch.</summary>
    /// <param name="all">Every document.</param>
    /// <param name="documents">Indices of those in the batch.</param>
    /// <param name="device">Where the tensors go; the CPU by default.</param>
    /// <param name="predicted">The tokens that are looked at.</param>
    /// <param name="skip">Tokens left out at the front of every document, because a cache holds them; the first that stays is predicted by none.</param>
    public static TokenBatch Of(
        IReadOnlyList<TokenizedDocument> all, IReadOnlyList<int> documents, Device? device = null, PredictedTokens predicted = PredictedTokens.Trained, int skip = 0)
    {
        using var scope = NewDisposeScope();
        var length = documents.Max(index => all[index].Tokens.Length) - skip;
        var tokens = new long[documents.Count * length];
        List<long> attended = [], predicting = [], targets = [];
        var counts = new int[documents.Count];
        for (var row = 0; row < documents.Count; row++)
        {
            var document = all[documents[row]];
            for (var t = skip; t < document.Tokens.Length; t++)
            {
                var position = ((long)row * length) + t - skip;
                tokens[position] = document.Tokens[t];
                attended.Add(position);
                if (t > skip && (predicted == PredictedTokens.All || document.Trained[t]))
                {
                    predicting.Add(position - 1);
                    targets.Add(document.Tokens[t]);
                    counts[row]++;
                }
            }
        }

        Tensor Flat(List<long> values) => tensor(values.ToArray(), dtype: ScalarType.Int64).to(device ?? CPU);
        return new(
            documents,
            tensor(tokens, [documents.Count, length], dtype: ScalarType.Int64).to(device ?? CPU),
            Flat(attended),
            Flat(predicting),
            Flat(targets),
            counts);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in (Tensor[])[Tokens, Attended, Predicting, Targets])
        {
            tensor.Dispose();
        }
    }
}
