using GradientAtoms.Gradients;
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

    /// <summary>
    /// What becomes of a direction that is laid into an adapter as the reference does (<see cref="Coordinates.ReferenceFaults.Order"/>):
    /// it is in the model's order of parameters, and is dealt out to the adapter's tensors in the order of their names. With adapters on
    /// q_proj and v_proj only, both orders are one; else tensors get what belongs to others, and nothing fails, since the lengths add up.
    /// </summary>
    /// <param name="direction"><c>[d]</c>.</param>
    /// <param name="layout">Where each parameter lies in it.</param>
    /// <returns><c>[d]</c>: at each parameter's place in the layout, what the reference adds to it. The caller owns it.</returns>
    public static Tensor InOrderOfNames(Tensor direction, ParameterLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        if (direction.dim() != 1 || direction.shape[0] != layout.Size)
        {
            throw new ArgumentException($"a direction is [{layout.Size}], got [{string.Join(", ", direction.shape)}]", nameof(direction));
        }

        using var scope = NewDisposeScope();
        var dealt = empty_like(direction);
        var taken = 0L;
        foreach (var map in layout.Maps.OrderBy(map => map.Name, Comparer<string>.Create(CompareNaturally)))
        {
            dealt.narrow(0, map.Offset, map.Size).copy_(direction.narrow(0, taken, map.Size));
            taken += map.Size;
        }

        return dealt.MoveToOuterDisposeScope();
    }

    // Runs of digits as numbers, what is between them by code points: layers.2 comes before layers.10.
    private static int CompareNaturally(string one, string other)
    {
        var (i, j) = (0, 0);
        while (i < one.Length && j < other.Length)
        {
            if (char.IsAsciiDigit(one[i]) && char.IsAsciiDigit(other[j]))
            {
                var first = Digits(one, ref i);
                var second = Digits(other, ref j);
                var order = first.Length != second.Length ? first.Length.CompareTo(second.Length) : first.CompareTo(second, StringComparison.Ordinal);
                if (order != 0)
                {
                    return order;
                }
            }
            else if (one[i] != other[j])
            {
                return one[i].CompareTo(other[j]);
            }
            else
            {
                (i, j) = (i + 1, j + 1);
            }
        }

        return (one.Length - i).CompareTo(other.Length - j);
    }

    private static ReadOnlySpan<char> Digits(string text, ref int at)
    {
        var start = at;
        while (at < text.Length && char.IsAsciiDigit(text[at]))
        {
            at++;
        }

        return text.AsSpan(start, at - start).TrimStart('0');
    }
}
