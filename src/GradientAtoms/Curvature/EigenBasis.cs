using static TorchSharp.torch;

namespace GradientAtoms.Curvature;

/// <summary>The eigenvectors and eigenvalues of a covariance. Owns its tensors.</summary>
/// <param name="Vectors"><c>[n, n]</c>, float32; column j belongs to eigenvalue j.</param>
/// <param name="Values"><c>[n]</c>, float64, ascending, never negative.</param>
public sealed record EigenBasis(Tensor Vectors, Tensor Values) : IDisposable
{
    // Of the largest eigenvalue: what rounding of float32 sums may leave below zero.
    private const double NegativeTolerance = 1e-5;

    /// <summary>Decomposes a sum of outer products.</summary>
    /// <param name="sum"><c>[n, n]</c>, float64.</param>
    /// <param name="count">Outer products in the sum, so that the eigenvalues are those of their mean.</param>
    /// <param name="name">Which sum, for the error.</param>
    /// <exception cref="NumericalException">An eigenvalue is negative beyond rounding, or not a number.</exception>
    public static EigenBasis Of(Tensor sum, long count, string name)
    {
        using var scope = NewDisposeScope();
        var mean = sum / Math.Max(count, 1);
        if (!isfinite(mean).all().item<bool>())
        {
            throw new NumericalException($"covariance {name}", "it is not finite", "Check the model's and the adapter's weights (gatoms inspect).");
        }

        var (values, vectors) = linalg.eigh((mean + mean.t()) / 2);
        var (smallest, largest) = (values[0].item<double>(), values[-1].item<double>());
        if (smallest < -NegativeTolerance * Math.Max(largest, double.Epsilon))
        {
            throw new NumericalException(
                $"covariance {name}",
                $"its smallest eigenvalue is {smallest:g4} beside a largest of {largest:g4}, more than rounding explains",
                "The stored sums are damaged: delete the run's gradients folder and run again.");
        }

        return new(
            vectors.to(ScalarType.Float32).contiguous().DetachFromDisposeScope(),
            values.clamp(min: 0).DetachFromDisposeScope());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Vectors.Dispose();
        Values.Dispose();
    }
}
