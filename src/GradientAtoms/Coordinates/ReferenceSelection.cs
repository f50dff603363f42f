using GradientAtoms.Gradients;
using static TorchSharp.torch;

namespace GradientAtoms.Coordinates;

/// <summary>Which coordinates of a map the reference implementation keeps, and how it evens them out.</summary>
internal static class ReferenceSelection
{
    // Of the largest: what rounding of float32 eigenvalues may leave below zero.
    private const double NegativeTolerance = 1e-5;

    /// <summary>Chooses the coordinates of one map.</summary>
    /// <param name="map">The map.</param>
    /// <param name="kronecker">λ_S·λ_A of this map, <c>[out·in]</c>, float64.</param>
    /// <param name="count">How many are kept; all where the map has fewer.</param>
    /// <param name="damping">ε, absolute.</param>
    /// <param name="faults">Only <see cref="ReferenceFaults.Signs"/> is looked at.</param>
    /// <returns>Places in the map, <c>[k]</c>, by falling eigenvalue, and (λ + ε)^−½, <c>[k]</c>, float32. The caller owns both.</returns>
    /// <exception cref="NumericalException">An eigenvalue is negative beyond rounding.</exception>
    public static (Tensor Places, Tensor Scale) Of(TrackedMap map, Tensor kronecker, int count, double damping, ReferenceFaults faults)
    {
        using var scope = NewDisposeScope();
        var sizes = kronecker.abs();
        if (!faults.HasFlag(ReferenceFaults.Signs))
        {
            var (smallest, largest) = (kronecker.min().item<double>(), sizes.max().item<double>());
            if (!(smallest >= -NegativeTolerance * largest))
            {
                throw new NumericalException(
                    $"eigenvalues of {map.Name}",
                    $"the smallest is {smallest:g4} beside a largest of {largest:g4}, more than rounding explains",
                    "Compute the covariances in float32 or better; those of 16-bit floats are not good enough.");
            }

            sizes = kronecker.clamp(min: 0);
        }

        var (values, places) = sizes.topk((int)Math.Min(count, map.Size));
        return (places.MoveToOuterDisposeScope(), (values.to(ScalarType.Float32) + damping).rsqrt().MoveToOuterDisposeScope());
    }
}
