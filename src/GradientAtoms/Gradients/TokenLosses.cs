using GradientAtoms.Models.Architectures;
using static TorchSharp.torch;

namespace GradientAtoms.Gradients;

/// <summary>The loss of predicted tokens, the one that gradients, fine-tunes and evaluations have: logits are formed only where a token that is looked at is predicted.</summary>
public static class TokenLosses
{
    private const int LogitBytes = 64 << 20;
    private const int LeastPositions = 16;

    /// <summary>−log p of tokens.</summary>
    /// <param name="model">The model, for its head.</param>
    /// <param name="predicting">Hidden states after the last norm that predict them, <c>[n, h]</c>.</param>
    /// <param name="targets">The tokens, <c>[n]</c>, int64.</param>
    /// <returns><c>[n]</c>, in nats. The caller owns it.</returns>
    public static Tensor Of(CausalLanguageModel model, Tensor predicting, Tensor targets)
    {
        using var scope = NewDisposeScope();
        return nn.functional.cross_entropy(model.Logits(predicting), targets, reduction: nn.Reduction.None).MoveToOuterDisposeScope();
    }

    /// <summary>−log p of each token that a batch looks at.</summary>
    /// <param name="model">The model, for its head.</param>
    /// <param name="hidden">Hidden states after the last norm, <c>[B, T, h]</c>.</param>
    /// <param name="batch">Which positions predict which tokens.</param>
    /// <param name="logitPositions">Positions whose logits are in memory at a time; null: all at once. It spares memory only where no gradient is asked for.</param>
    /// <returns><c>[P]</c>, in nats. The caller owns it.</returns>
    public static Tensor Compute(CausalLanguageModel model, Tensor hidden, TokenBatch batch, int? logitPositions = null)
    {
        using var scope = NewDisposeScope();
        var predicting = hidden.flatten(0, 1).index_select(0, batch.Predicting); // [P, h]
        var count = predicting.shape[0];
        if (logitPositions is not { } positions || count <= positions)
        {
            return Of(model, predicting, batch.Targets).MoveToOuterDisposeScope();
        }

        var parts = new List<Tensor>();
        for (var start = 0L; start < count; start += positions)
        {
            var length = Math.Min(positions, count - start);
            parts.Add(Of(model, predicting.narrow(0, start, length), batch.Targets.narrow(0, start, length)));
        }

        return cat(parts).MoveToOuterDisposeScope();
    }

    /// <summary>−log p of tokens, and the gradient of their sum: the head's part of a backward pass, some positions at a time, so that logits take the memory of those alone.</summary>
    /// <param name="model">The model, for its head.</param>
    /// <param name="predicting">Hidden states after the last norm that predict them, <c>[P, h]</c>.</param>
    /// <param name="targets">The tokens, <c>[P]</c>, int64.</param>
    /// <param name="logitPositions">Positions whose logits are in memory at a time; null: as many as take 64 MiB.</param>
    /// <returns>The losses, <c>[P]</c>, in nats, and ∂(their sum)/∂<paramref name="predicting"/>, <c>[P, h]</c>. The caller owns both.</returns>
    public static (Tensor Losses, Tensor Gradient) WithGradient(CausalLanguageModel model, Tensor predicting, Tensor targets, int? logitPositions = null)
    {
        using var scope = NewDisposeScope();
        var positions = logitPositions ?? Math.Max(LeastPositions, LogitBytes / (sizeof(float) * model.VocabularySize));
        var (losses, gradients) = (new List<Tensor>(), new List<Tensor>());
        for (var start = 0L; start < predicting.shape[0]; start += positions)
        {
            using var chunk = NewDisposeScope();
            var length = Math.Min(positions, predicting.shape[0] - start);
            var hidden = predicting.narrow(0, start, length).detach().requires_grad_();
            var loss = Of(model, hidden, targets.narrow(0, start, length));
            gradients.Add(autograd.grad([loss.sum()], [hidden])[0].MoveToOuterDisposeScope());
            losses.Add(loss.detach().MoveToOuterDisposeScope());
        }

        return losses.Count == 0
            ? (zeros([0]).MoveToOuterDisposeScope(), zeros_like(predicting).MoveToOuterDisposeScope())
            : (cat(losses).MoveToOuterDisposeScope(), cat(gradients).MoveToOuterDisposeScope());
    }

    /// <summary>Each document's summed loss, added up in float64 in the order of its tokens.</summary>
    /// <param name="tokenLosses"><c>[P]</c>.</param>
    /// <param name="batch">Whose tokens they are.</param>
    /// <returns><c>[B]</c>, in nats.</returns>
    public static double[] SumByDocument(Tensor tokenLosses, TokenBatch batch)
    {
        using var scope = NewDisposeScope();
        var losses = tokenLosses.detach().cpu().data<float>().ToArray();
        var (sums, at) = (new double[batch.Counts.Count], 0);
        for (var row = 0; row < sums.Length; row++)
        {
            for (var end = at + batch.Counts[row]; at < end; at++)
            {
                sums[row] += losses[at];
            }
        }

        return sums;
    }
}
