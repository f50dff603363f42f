using GradientAtoms.Gradients;
using static TorchSharp.torch;

namespace GradientAtoms.Coordinates;

/// <summary>Where the energy of the gradients lies and what a space keeps of it, a line a tracked map.</summary>
/// <param name="Map">The tracked map.</param>
/// <param name="RawEnergy">Σ over documents of the squared norm of its gradient.</param>
/// <param name="RawKept">The part of it in coordinates that the space keeps.</param>
/// <param name="WhitenedEnergy">Σ over documents of the squared norm of its whitened gradient, kept coordinates.</param>
public sealed record LedgerLine(string Map, double RawEnergy, double RawKept, double WhitenedEnergy);

/// <summary>The ledger of a space, from the sums of squares that the curvature's eigenvalues are.</summary>
public static class EnergyLedger
{
    /// <summary>λ of a coordinate is the mean over documents of its square (see <see cref="Curvature.EkfacEigenvalues"/>), so no row is read again.</summary>
    /// <param name="eigenvalues">λ of all documents, <c>[d]</c>, float64.</param>
    /// <param name="documents">Documents that they are the mean of, N.</param>
    /// <param name="layout">The tracked maps.</param>
    /// <param name="whitening">What the space does with a coordinate; it keeps those that are not scaled to zero.</param>
    /// <returns>One line a map.</returns>
    public static IReadOnlyList<LedgerLine> Of(Tensor eigenvalues, int documents, ParameterLayout layout, Whitening whitening)
    {
        using var scope = NewDisposeScope();
        var raw = eigenvalues * documents; // Σ over documents of the squared coordinate, [d]
        var kept = raw * whitening.Scale.ne(0);
        var whitened = raw * whitening.Scale.to(ScalarType.Float64).square();
        return [.. layout.Maps.Select(map =>
        {
            double Sum(Tensor energies) => energies.narrow(0, map.Offset, map.Size).sum().item<double>();
            return new LedgerLine(map.Name, Sum(raw), Sum(kept), Sum(whitened));
        })];
    }
}
