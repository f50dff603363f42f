using GradientAtoms.Gradients;
using static TorchSharp.torch;

namespace GradientAtoms.Coordinates;

/// <summary>
/// How rotated gradients are evened out: w = scale ∘ (Qᵀ g), with (λ + ε)^−½ where a coordinate is kept and 0 where it is
/// dropped. Owns its tensor.
/// </summary>
public sealed class Whitening : IDisposable
{
    private Whitening(string kind, Tensor scale, double damping, long keptCount)
    {
        Kind = kind;
        Scale = scale.DetachFromDisposeScope();
        Damping = damping;
        KeptCount = keptCount;
    }

    /// <summary><c>ekfac</c>, <c>reference</c> or <c>raw</c>.</summary>
    public string Kind { get; }

    /// <summary><c>[d]</c>, float32; 0 where a coordinate is dropped.</summary>
    public Tensor Scale { get; }

    /// <summary>ε, on the scale of the eigenvalues.</summary>
    public double Damping { get; }

    /// <summary>Coordinates that are kept.</summary>
    public long KeptCount { get; }

    /// <summary>All coordinates, by measured eigenvalues; the damping is relative, ε = δ · mean λ.</summary>
    /// <param name="eigenvalues">EKFAC λ, <c>[d]</c>, float64.</param>
    /// <param name="relativeDamping">δ, above 0.</param>
    /// <exception cref="NumericalException">Every eigenvalue is zero: there is no gradient anywhere.</exception>
    public static Whitening Ekfac(Tensor eigenvalues, double relativeDamping)
    {
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(relativeDamping, 0);
        using var scope = NewDisposeScope();
        var mean = eigenvalues.mean().item<double>();
        if (!(mean > 0) || !double.IsFinite(mean))
        {
            throw new NumericalException(
                "EKFAC eigenvalues",
                $"their mean is {mean:g4}: the documents have no gradient",
                "Check that the adapter belongs to this model and that answers are trained on (gatoms inspect DATA --model MODEL).");
        }

        return EkfacDamped(eigenvalues, relativeDamping * mean);
    }

    /// <summary>The same with the damping itself, as a whitening that was made before had it.</summary>
    /// <param name="eigenvalues">EKFAC λ, <c>[d]</c>, float64.</param>
    /// <param name="damping">ε, above 0.</param>
    public static Whitening EkfacDamped(Tensor eigenvalues, double damping)
    {
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(damping, 0);
        using var scope = NewDisposeScope();
        return new("ekfac", (eigenvalues + damping).rsqrt().to(ScalarType.Float32), damping, eigenvalues.numel());
    }

    /// <summary>
    /// What the reference implementation does: in each map the coordinates of the largest Kronecker eigenvalues, an absolute
    /// damping, float32.
    /// </summary>
    /// <param name="layout">The tracked maps.</param>
    /// <param name="kronecker">λ_S·λ_A, <c>[d]</c>, float64.</param>
    /// <param name="keptPerMap">50 there.</param>
    /// <param name="damping">1e-6 there.</param>
    /// <param name="faults">Of what it does by mistake, only <see cref="ReferenceFaults.Signs"/> belongs here.</param>
    /// <exception cref="NumericalException">An eigenvalue is negative beyond rounding, and <see cref="ReferenceFaults.Signs"/> is off.</exception>
    public static Whitening Reference(ParameterLayout layout, Tensor kronecker, int keptPerMap = 50, double damping = 1e-6, ReferenceFaults faults = ReferenceFaults.None)
    {
        using var scope = NewDisposeScope();
        var scale = zeros(layout.Size, dtype: ScalarType.Float32);
        var kept = 0L;
        foreach (var map in layout.Maps)
        {
            var (places, ownScale) = ReferenceSelection.Of(map, kronecker.narrow(0, map.Offset, map.Size), keptPerMap, damping, faults);
            scale.narrow(0, map.Offset, map.Size).index_copy_(0, places, ownScale);
            kept += places.shape[0];
        }

        return new("reference", scale, damping, kept);
    }

    /// <summary>No whitening: raw gradients, for comparison.</summary>
    public static Whitening Raw(long size) => new("raw", ones(size, dtype: ScalarType.Float32), 0, size);

    /// <inheritdoc/>
    public void Dispose() => Scale.Dispose();
}
