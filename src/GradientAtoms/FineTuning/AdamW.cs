using static TorchSharp.torch;

namespace GradientAtoms.FineTuning;

/// <summary>
/// AdamW (Loshchilov and Hutter, arXiv 1711.05101, algorithm 2) with its moments in the open, so that a training can be stored,
/// continued bit for bit, and asked for its second moments. Owns the moments, not the parameters.
/// </summary>
internal sealed class AdamW(IReadOnlyList<Tensor> parameters, IReadOnlyList<Tensor> first, IReadOnlyList<Tensor> second, FineTuningOptions options) : IDisposable
{
    /// <summary>One step, in place.</summary>
    /// <param name="gradients">One a parameter, of its shape.</param>
    /// <param name="scale">What the gradients are multiplied by first (clipping).</param>
    /// <param name="learningRate">Of this step.</param>
    /// <param name="step">From 1.</param>
    public void Step(IReadOnlyList<Tensor> gradients, double scale, double learningRate, int step)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var (firstCorrection, secondCorrection) = (1 - Math.Pow(options.Beta1, step), 1 - Math.Pow(options.Beta2, step));
        for (var i = 0; i < parameters.Count; i++)
        {
            var gradient = scale < 1 ? gradients[i] * scale : gradients[i];
            if (options.WeightDecay != 0)
            {
                parameters[i].mul_(1 - (learningRate * options.WeightDecay));
            }

            first[i].mul_(options.Beta1).add_(gradient, alpha: 1 - options.Beta1);
            second[i].mul_(options.Beta2).addcmul_(gradient, gradient, value: 1 - options.Beta2);
            var denominator = second[i].sqrt().div_(Math.Sqrt(secondCorrection)).add_(options.Epsilon);
            parameters[i].addcdiv_(first[i], denominator, value: -learningRate / firstCorrection);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var moment in first.Concat(second))
        {
            moment.Dispose();
        }
    }
}
