using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Gradients;

/// <summary>Documents side by side, padded on the right. Owns its tensors.</summary>
public sealed class TokenBatch : IDisposable
{
    private TokenBatch(IReadOnlyList<int> documents, Tensor tokens, Tensor attended, Tensor predicting, Tensor targets, Tensor owners)
    {
        Documents = documents;
        Tokens = tokens.DetachFromDisposeScope();
        Attended = attended.DetachFromDisposeScope();
        Predicting = predicting.DetachFromDisposeScope();
        Targets = targets.DetachFromDisposeScope();
        Owners = owners.DetachFromDisposeScope();
    }

    /// <summary>Which documents, as indices into the list that the batch was made from.</summary>
    public IReadOnlyList<int> Documents { get; }

    /// <summary><c>[B, T]</c>, int64.</summary>
    public Tensor Tokens { get; }

    /// <summary>Flat positions (row · T + column) that hold a token and no padding, <c>[tokens]</c>, int64.</summary>
    public Tensor Attended { get; }

    /// <summary>Flat positions that predict a trained token, <c>[P]</c>, int64.</summary>
    public Tensor Predicting { get; }

    /// <summary>The trained tokens, <c>[P]</c>, int64.</summary>
    public Tensor Targets { get; }

    /// <summary>The row of the batch that each trained token belongs to, <c>[P]</c>, int64.</summary>
    public Tensor Owners { get; }

    /// <summary>Makes a batch.</summary>
    /// <param name="all">Every document.</param>
    /// <param name="documents">Indices of those in the batch.</param>
    /// <param name="device">Where the tensors go; the CPU by default.</param>
    public static TokenBatch Of(IReadOnlyList<TokenizedDocument> all, IReadOnlyList<int> documents, Device? device = null)
    {
        using var scope = NewDisposeScope();
        var length = documents.Max(index => all[index].Tokens.Length);
        var tokens = new long[documents.Count * length];
        List<long> attended = [], predicting = [], targets = [], owners = [];
        for (var row = 0; row < documents.Count; row++)
        {
            var document = all[documents[row]];
            for (var t = 0; t < document.Tokens.Length; t++)
            {
                var position = ((long)row * length) + t;
                tokens[position] = document.Tokens[t];
                attended.Add(position);
                if (t > 0 && document.Trained[t])
                {
                    predicting.Add(position - 1);
                    targets.Add(document.Tokens[t]);
                    owners.Add(row);
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
            Flat(owners));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in (Tensor[])[Tokens, Attended, Predicting, Targets, Owners])
        {
            tensor.Dispose();
        }
    }
}
