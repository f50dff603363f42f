using GradientAtoms.Runs.Pipeline;
using static TorchSharp.torch;

namespace GradientAtoms.Bench.Scoring;

/// <summary>A baseline without gradients: what the tuned model's last layer says of a document.</summary>
internal static class MeanHiddenStates
{
    /// <summary>The mean over the answer's tokens, <c>[N, h]</c>. The caller owns it.</summary>
    public static Tensor Of(RunSession session)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        return stack([.. session.Documents.Select(document =>
        {
            using var inner = NewDisposeScope();
            var tokens = tensor(document.Tokens.Select(token => (long)token).ToArray()).unsqueeze(0);
            var hidden = session.Model.Loaded.Model.HiddenStates(tokens, new() { Adapters = [session.Adapter] })[0]; // [T, h]
            return hidden[tensor(document.Trained)].mean([0L]).MoveToOuterDisposeScope();
        })]).MoveToOuterDisposeScope();
    }
}
