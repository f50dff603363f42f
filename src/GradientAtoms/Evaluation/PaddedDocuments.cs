using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Evaluation;

/// <summary>Which tokens of a document are looked at.</summary>
internal enum PredictedTokens
{
    /// <summary>The tokens of the loss.</summary>
    Trained,

    /// <summary>Every token but the first.</summary>
    All,
}

/// <summary>
/// A batch of documents, padded on the right, with the positions that predict tokens that are looked at. Positions are listed
/// document by document, so that a document's entries lie side by side. Lives in the dispose scope of its maker.
/// </summary>
/// <param name="Documents">Indices into the caller's documents, <c>[B]</c>.</param>
/// <param name="Tokens"><c>[B, T]</c>, int64.</param>
/// <param name="Positions"><c>[n]</c>, int64: where the predicting hidden states lie in the flattened <c>[B·T]</c>.</param>
/// <param name="Targets"><c>[n]</c>, int64: the tokens that they predict.</param>
/// <param name="Counts">Positions of each document, <c>[B]</c>.</param>
internal sealed record PaddedDocuments(int[] Documents, Tensor Tokens, Tensor Positions, Tensor Targets, int[] Counts)
{
    /// <summary>Pads some documents.</summary>
    /// <param name="all">All documents of the caller.</param>
    /// <param name="indices">Those of the batch.</param>
    /// <param name="which">The tokens that are looked at.</param>
    /// <param name="skip">Tokens left out at the front of every document, because a cache holds them.</param>
    /// <param name="device">Where the model is.</param>
    public static PaddedDocuments Make(IReadOnlyList<TokenizedDocument> all, int[] indices, PredictedTokens which, int skip, Device device)
    {
        var width = indices.Max(index => all[index].Tokens.Length) - skip;
        var tokens = new long[indices.Length * width];
        var (positions, targets, counts) = (new List<long>(), new List<long>(), new int[indices.Length]);
        for (var row = 0; row < indices.Length; row++)
        {
            var document = all[indices[row]];
            for (var at = skip; at < document.Tokens.Length; at++)
            {
                tokens[(row * width) + at - skip] = document.Tokens[at];
                if (at > skip && (which == PredictedTokens.All || document.Trained[at]))
                {
                    positions.Add((row * width) + at - skip - 1);
                    targets.Add(document.Tokens[at]);
                    counts[row]++;
                }
            }
        }

        return new(
            indices,
            tensor(tokens, [indices.Length, width], device: device),
            tensor(positions.ToArray(), device: device),
            tensor(targets.ToArray(), device: device),
            counts);
    }

    /// <summary>Cuts documents into batches of similar length: B times the longest is at most the budget, or B is 1.</summary>
    /// <param name="all">All documents.</param>
    /// <param name="order">Indices, already sorted by length.</param>
    /// <param name="batchTokens">The budget, padding included.</param>
    public static List<int[]> Cut(IReadOnlyList<TokenizedDocument> all, IEnumerable<int> order, int batchTokens)
    {
        var (batches, current, longest) = (new List<int[]>(), new List<int>(), 0);
        foreach (var index in order)
        {
            var length = all[index].Tokens.Length;
            if (current.Count > 0 && (long)(current.Count + 1) * Math.Max(longest, length) > batchTokens)
            {
                batches.Add([.. current]);
                current.Clear();
                longest = 0;
            }

            current.Add(index);
            longest = Math.Max(longest, length);
        }

        if (current.Count > 0)
        {
            batches.Add([.. current]);
        }

        return batches;
    }

    /// <summary>Indices of the documents, longest first (what does not fit in memory fails at once), ties by index.</summary>
    public static IEnumerable<int> ByLength(IReadOnlyList<TokenizedDocument> documents) =>
        Enumerable.Range(0, documents.Count).OrderByDescending(index => documents[index].Tokens.Length).ThenBy(index => index);
}
