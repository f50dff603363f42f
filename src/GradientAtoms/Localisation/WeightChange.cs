using GradientAtoms.Coordinates;
using GradientAtoms.Gradients;
using static TorchSharp.torch;

namespace GradientAtoms.Localisation;

/// <summary>What directions explain of a change of the weights, in one metric.</summary>
/// <param name="Squared">‖Δ‖² of the change.</param>
/// <param name="Cosines"><c>[n]</c>: of the change with minus each direction, so above 0 where the change went towards more of it.</param>
public sealed record ChangeInMetric(double Squared, IReadOnlyList<double> Cosines)
{
    // Of the largest eigenvalue: directions this close to the span of others are in it, but for rounding of float32 products.
    private const double RankTolerance = 1e-6;

    private readonly double[,] _cosines = new double[0, 0];

    internal ChangeInMetric(double squared, IReadOnlyList<double> cosines, double[,] between)
        : this(squared, cosines)
    {
        _cosines = between;
    }

    /// <summary>
    /// The share of the squared change that lies in the span of some directions: cᵀ C⁺ c, with C the directions' cosines among
    /// themselves, c those with the change, and C⁺ by eigenvalues, so that directions that say the same count once.
    /// </summary>
    /// <param name="directions">Which.</param>
    public double SpanShare(IReadOnlyList<int> directions)
    {
        if (directions.Count == 0)
        {
            return 0;
        }

        using var scope = NewDisposeScope();
        var between = tensor(directions.SelectMany(i => directions.Select(j => _cosines[i, j])).ToArray()).view(directions.Count, directions.Count).clone();
        var (values, vectors) = linalg.eigh(between);
        var along = vectors.t().matmul(tensor(directions.Select(i => Cosines[i]).ToArray()).clone()); // [n]
        var kept = values.gt(values[-1] * RankTolerance);
        return Math.Clamp((along.square() / values)[kept].sum().item<double>(), 0, 1);
    }
}

/// <summary>
/// How much of what the fine-tune did to the weights lies along directions. Directions are taken as steps, v = Q (Λ+ε)^−½ d, and
/// the change is Δ = θ_tuned − θ_0, in two metrics: Euclidean, Δ·v; and weighted with the curvature, Δᵀ Q(Λ+ε)Qᵀ v, where a change
/// counts by what it does to the losses. In the second it is the whitened change (Λ+ε)^½ QᵀΔ with d. Coordinates that the space
/// drops count in the first metric and not in the second.
/// </summary>
/// <param name="whitening">How rows are evened out.</param>
/// <param name="change">QᵀΔ, <c>[d]</c>, float32; stays the caller's.</param>
/// <param name="count">Directions, n.</param>
public sealed class WeightChange(Whitening whitening, Tensor change, int count) : IDisposable
{
    private readonly Tensor _euclidean = zeros([count + 1, count + 1], dtype: ScalarType.Float64).DetachFromDisposeScope();
    private readonly Tensor _curvature = zeros([count + 1, count + 1], dtype: ScalarType.Float64).DetachFromDisposeScope();

    /// <summary>The change that is looked at, <c>[d]</c>.</summary>
    public Tensor Change => change;

    /// <summary>Takes a map of the directions.</summary>
    /// <param name="map">The map.</param>
    /// <param name="rotated"><c>[n, d_m]</c>: Σ_i b_i Qᵀg_i, neither whitened nor turned back.</param>
    public void Add(TrackedMap map, Tensor rotated)
    {
        using var scope = NewDisposeScope();
        var scale = whitening.Scale.narrow(0, map.Offset, map.Size);
        var own = change.narrow(0, map.Offset, map.Size);
        var white = rotated * scale;
        Sum(_curvature, white, where(scale.ne(0), own / scale, zeros_like(own)));
        Sum(_euclidean, white.mul_(scale), own);
    }

    /// <summary>Euclidean, when every map has come by.</summary>
    public ChangeInMetric Euclidean() => Read(_euclidean);

    /// <summary>Weighted with the curvature, when every map has come by.</summary>
    public ChangeInMetric Curvature() => Read(_curvature);

    /// <summary>
    /// The share of the change, weighted with the curvature, that lies in the span of all documents that a space was made of: no
    /// atom, however learnt, explains more. Of a centred space it is the span of the differences of documents.
    /// </summary>
    /// <param name="products">(QᵀΔ)·(Qᵀg_i) in kept coordinates, <c>[N]</c>, float64.</param>
    /// <param name="coordinates">The space.</param>
    public double DocumentsShare(Tensor products, GramCoordinates coordinates)
    {
        if (coordinates.WeightsOfDirections is not { } weights)
        {
            throw new InvalidOperationException("a sketched direction is no combination of documents");
        }

        using var scope = NewDisposeScope();
        return Math.Clamp(products.matmul(weights).square().sum().item<double>() / _curvature[count, count].item<double>(), 0, 1);
    }

    /// <summary>The products that <see cref="DocumentsShare"/> asks for, of some columns.</summary>
    /// <param name="tile">The columns.</param>
    /// <returns><c>[N]</c>, float64. The caller owns it.</returns>
    public Tensor Products(RowTile tile)
    {
        using var scope = NewDisposeScope();
        return tile.Rows.matmul(tile.Of(change) * tile.Of(whitening.Scale).ne(0)).to(ScalarType.Float64).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _euclidean.Dispose();
        _curvature.Dispose();
    }

    private static void Sum(Tensor sums, Tensor directions, Tensor own)
    {
        var all = cat([directions, own.unsqueeze(0)], 0); // [n + 1, d_m]
        sums.add_(all.matmul(all.t()).to(ScalarType.Float64));
    }

    private ChangeInMetric Read(Tensor sums)
    {
        var products = sums.data<double>().ToArray();
        double At(int i, int j) => products[(i * (count + 1)) + j];
        double Cosine(int i, int j) => At(i, i) > 0 && At(j, j) > 0 ? At(i, j) / Math.Sqrt(At(i, i) * At(j, j)) : 0;
        var between = new double[count, count];
        for (var i = 0; i < count; i++)
        {
            for (var j = 0; j < count; j++)
            {
                between[i, j] = i == j ? 1 : (Cosine(i, j) + Cosine(j, i)) / 2;
            }
        }

        return new(At(count, count), [.. Enumerable.Range(0, count).Select(i => -Cosine(i, count))], between);
    }
}
