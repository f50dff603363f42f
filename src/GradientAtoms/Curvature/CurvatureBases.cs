using GradientAtoms.Gradients;
using static TorchSharp.torch;

namespace GradientAtoms.Curvature;

/// <summary>The eigenbases of every tracked map: Q_A of its inputs, Q_S of its output gradients. Owns them.</summary>
/// <remarks>
/// The coordinates of a gradient G in them are Q_Sᵀ G Q_A (EKFAC, George et al. 2018, arXiv 1806.03884). Maps that read the
/// same input share its basis.
/// </remarks>
public sealed class CurvatureBases : IDisposable
{
    private readonly IReadOnlyDictionary<string, EigenBasis> _bases;

    /// <summary>Takes over bases by the names of <see cref="CovarianceSums"/>.</summary>
    public CurvatureBases(ParameterLayout layout, IReadOnlyDictionary<string, EigenBasis> bases)
    {
        Layout = layout;
        _bases = bases;
        foreach (var map in layout.Maps)
        {
            _ = (Input(map), Output(map));
        }
    }

    /// <summary>The tracked maps.</summary>
    public ParameterLayout Layout { get; }

    /// <summary>The bases by name.</summary>
    public IReadOnlyDictionary<string, EigenBasis> Bases => _bases;

    /// <summary>Decomposes every covariance, in float64.</summary>
    public static CurvatureBases Fit(ParameterLayout layout, CovarianceSums sums, IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        var bases = new SortedDictionary<string, EigenBasis>(StringComparer.Ordinal);
        foreach (var (name, sum) in sums.Sums)
        {
            cancellationToken.ThrowIfCancellationRequested();
            bases[name] = EigenBasis.Of(sum, sums.TokenCount, name);
            progress?.Report(new("eigenbases", bases.Count, sums.Sums.Count, "covariances"));
        }

        return new(layout, bases);
    }

    /// <summary>Q_A of a map, <c>[in, in]</c>.</summary>
    public EigenBasis Input(TrackedMap map) => _bases[CovarianceSums.InputSum(map)];

    /// <summary>Q_S of a map, <c>[out, out]</c>.</summary>
    public EigenBasis Output(TrackedMap map) => _bases[CovarianceSums.OutputSum(map)];

    /// <summary>Rotates flat gradients into the eigenbases, map by map: Q_Sᵀ G Q_A.</summary>
    /// <param name="rows"><c>[n, d]</c>, float32.</param>
    /// <returns><c>[n, d]</c>; same norms and products as the rows. The caller owns it.</returns>
    public Tensor Rotate(Tensor rows) => Turn(rows, basis => basis.Vectors.t());

    /// <summary>Rotates back: Q_S R Q_Aᵀ.</summary>
    /// <param name="rotated"><c>[n, d]</c>, float32.</param>
    /// <returns><c>[n, d]</c>. The caller owns it.</returns>
    public Tensor RotateBack(Tensor rotated) => Turn(rotated, basis => basis.Vectors);

    /// <summary>Rotates one map back: Q_S R Q_Aᵀ.</summary>
    /// <param name="map">The map.</param>
    /// <param name="rotated">Its columns, <c>[n, d_m]</c>, float32.</param>
    /// <returns><c>[n, d_m]</c>. The caller owns it.</returns>
    public Tensor RotateBack(TrackedMap map, Tensor rotated) => Turn(map, rotated, basis => basis.Vectors);

    /// <summary>Kronecker's guess of the eigenvalues: λ_S,i · λ_A,j, per token.</summary>
    /// <returns><c>[d]</c>, float64. The caller owns it.</returns>
    public Tensor KroneckerEigenvalues()
    {
        using var scope = NewDisposeScope();
        return cat([.. Layout.Maps.Select(map => outer(Output(map).Values, Input(map).Values).flatten())]).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var basis in _bases.Values)
        {
            basis.Dispose();
        }
    }

    private Tensor Turn(Tensor rows, Func<EigenBasis, Tensor> side)
    {
        using var scope = NewDisposeScope();
        var turned = empty_like(rows);
        foreach (var map in Layout.Maps)
        {
            using var own = Turn(map, rows.narrow(1, map.Offset, map.Size), side);
            turned.narrow(1, map.Offset, map.Size).copy_(own);
        }

        return turned.MoveToOuterDisposeScope();
    }

    // L G Rᵀ of every document. Outputs lie before documents meanwhile, so that each side is one product for all of them: one a
    // document is many times slower where a side is as small as the rank.
    private Tensor Turn(TrackedMap map, Tensor columns, Func<EigenBasis, Tensor> side)
    {
        using var scope = NewDisposeScope();
        var count = columns.shape[0];
        var gradient = columns.reshape(count, map.OutputSize, map.InputSize).transpose(0, 1).reshape(map.OutputSize, -1); // [out, n · in]
        var left = side(Output(map)).matmul(gradient).view(map.OutputSize * count, map.InputSize);
        var both = left.matmul(side(Input(map)).t()).view(map.OutputSize, count, map.InputSize);
        return both.transpose(0, 1).reshape(count, map.Size).MoveToOuterDisposeScope();
    }
}
