using GradientAtoms.Models.Architectures;
using static TorchSharp.torch;

namespace GradientAtoms.Gradients;

/// <summary>The loss of the trained tokens: logits are formed only where a trained token is predicted.</summary>
internal static class TokenLosses
{
    /// <summary>−log p of each trained token.</summary>
    /// <param name="model">The model, for its head.</param>
    /// <param name="hidden">Hidden states after the last norm, <c>[B, T, h]</c>.</param>
    /// <param name="batch">Which positions predict which tokens.</param>
    /// <returns><c>[P]</c>, in nats. The caller owns it.</returns>
    public static Tensor Compute(CausalLanguageModel model, Tensor hidden, TokenBatch batch)
    {
        using var scope = NewDisposeScope();
        var predicting = hidden.flatten(0, 1).index_select(0, batch.Predicting); // [P, h]
        return nn.functional.cross_entropy(model.Logits(predicting), batch.Targets, reduction: nn.Reduction.None).MoveToOuterDisposeScope();
    }

    /// <summary>Each document's summed loss, added up in float64.</summary>
    /// <param name="tokenLosses"><c>[P]</c>.</param>
    /// <param name="batch">Whose tokens they are.</param>
    public static double[] SumByDocument(Tensor tokenLosses, TokenBatch batch)
    {
        using var scope = NewDisposeScope();
        return zeros(batch.Documents.Count, dtype: ScalarType.Float64, device: tokenLosses.device)
            .index_add(0, batch.Owners, tokenLosses.detach().to(ScalarType.Float64), 1)
            .cpu().data<double>().ToArray();
    }
}
