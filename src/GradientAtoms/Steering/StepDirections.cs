using static TorchSharp.torch;

namespace GradientAtoms.Steering;

/// <summary>Directions that need no whitened coordinates.</summary>
public static class StepDirections
{
    /// <summary>The step of the fine-tune's optimiser: −g / (√v̂ + ε), which lowers the loss that g is the gradient of.</summary>
    /// <param name="gradient"><c>[d]</c>: the gradient whose loss is to fall.</param>
    /// <param name="secondMoments"><c>[d]</c>: Adam's second moments, corrected for their start at zero (<see cref="FineTuning.FineTuningResult.SecondMoments"/>).</param>
    /// <param name="epsilon">
    /// Relative to the root of the mean second moment: an entry whose gradient was hardly ever seen would otherwise lead every
    /// step. Adam's own ε of 1e-8 does that job only while its moments are of one gradient's size.
    /// </param>
    /// <returns><c>[d]</c>, float32. The caller owns it.</returns>
    public static Tensor Adam(Tensor gradient, Tensor secondMoments, double epsilon = 1e-2)
    {
        if (gradient.dim() != 1 || !gradient.shape.AsSpan().SequenceEqual(secondMoments.shape))
        {
            throw new ArgumentException($"moments [{string.Join(", ", secondMoments.shape)}] of a gradient [{string.Join(", ", gradient.shape)}]", nameof(secondMoments));
        }

        using var scope = NewDisposeScope();
        var typical = Math.Sqrt(secondMoments.mean([0], type: ScalarType.Float64).item<double>());
        return (-gradient / (secondMoments.sqrt() + (float)(epsilon * typical))).to(ScalarType.Float32).MoveToOuterDisposeScope();
    }
}
