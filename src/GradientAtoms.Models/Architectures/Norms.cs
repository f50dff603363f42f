using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>x / √(mean x² + ε) · (w + offset), over the last axis.</summary>
/// <param name="Weight"><c>[n]</c>.</param>
/// <param name="Epsilon">ε.</param>
/// <param name="Offset">0, or 1 where the checkpoint stores w − 1 (gemma).</param>
internal sealed record RmsNorm(Tensor Weight, double Epsilon, int Offset = 0)
{
    /// <summary>Applies it.</summary>
    /// <param name="values"><c>[…, n]</c>.</param>
    public Tensor Apply(Tensor values)
    {
        using var scope = NewDisposeScope();
        var scaled = values * values.square().mean([-1], keepdim: true).add_(Epsilon).rsqrt_();
        return scaled.mul_(Offset == 0 ? Weight : Weight + Offset).MoveToOuterDisposeScope();
    }
}

/// <summary>(x − mean) / √(variance + ε) · w + b, over the last axis.</summary>
/// <param name="Weight"><c>[n]</c>.</param>
/// <param name="Bias"><c>[n]</c>.</param>
/// <param name="Epsilon">ε.</param>
internal sealed record LayerNorm(Tensor Weight, Tensor Bias, double Epsilon)
{
    /// <summary>Applies it.</summary>
    /// <param name="values"><c>[…, n]</c>.</param>
    public Tensor Apply(Tensor values) => nn.functional.layer_norm(values, Weight.shape, Weight, Bias, Epsilon);
}
