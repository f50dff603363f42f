using static TorchSharp.torch;

namespace GradientAtoms.Coordinates;

/// <summary>
/// Coordinates with the same inner products as the whitened unit rows: with T W the unit rows (less their mean, where centred),
/// T W Wᵀ Tᵀ = U Σ² Uᵀ and X = U Σ. Nothing is lost but directions of no energy. Owns its tensors.
/// </summary>
/// <remarks>
/// A direction δ of this space is Wᵀ b with b = Tᵀ U Σ⁻¹ δ: a combination of documents, so it goes back to the weights exactly.
/// </remarks>
public sealed class GramCoordinates : IDisposable
{
    // Eigenvalues below this share of the largest are rounding of float32 products.
    private const double RankTolerance = 1e-6;

    private GramCoordinates(Tensor rows, Tensor? weightsOfDirections, Tensor norms, double meanNorm)
    {
        Rows = rows.DetachFromDisposeScope();
        WeightsOfDirections = weightsOfDirections?.DetachFromDisposeScope();
        Norms = norms.DetachFromDisposeScope();
        MeanNorm = meanNorm;
    }

    /// <summary>X, <c>[N, k]</c>, float32, one document a row.</summary>
    public Tensor Rows { get; }

    /// <summary>Tᵀ U Σ⁻¹, <c>[N, k]</c>, float64: takes a direction to weights of documents. Null for a sketch.</summary>
    public Tensor? WeightsOfDirections { get; }

    /// <summary>Whether directions can be brought back to the weights.</summary>
    public bool CanLift => WeightsOfDirections is not null;

    /// <summary>Whitened norms ‖w_i‖ in full space, <c>[N]</c>, float64.</summary>
    public Tensor Norms { get; }

    /// <summary>Norm of the mean unit row: what centring takes away.</summary>
    public double MeanNorm { get; }

    /// <summary>Makes the coordinates.</summary>
    /// <param name="whitened">w_i · w_j, <c>[N, N]</c>, float64.</param>
    /// <param name="learning">Documents that the mean is over; the others are encoded with the same mean.</param>
    /// <param name="center">Whether the mean is taken away.</param>
    /// <exception cref="NumericalException">A document has no gradient in the kept coordinates.</exception>
    public static GramCoordinates Fit(Tensor whitened, IReadOnlyList<bool> learning, bool center)
    {
        using var scope = NewDisposeScope();
        var count = whitened.shape[0];
        var norms = whitened.diagonal().clamp(min: 0).sqrt(); // [N]
        CheckNorms(norms);
        var inverse = norms.reciprocal();
        var mean = tensor(learning.Select(learn => learn ? 1.0 : 0.0).ToArray()) / learning.Count(learn => learn); // [N]
        var products = whitened * inverse.unsqueeze(1); // of unit rows, [N, N]
        products.mul_(inverse.unsqueeze(0));
        var withMean = products.matmul(mean); // [N]
        var meanSquared = withMean.dot(mean).item<double>();
        if (center)
        {
            products.sub_(withMean.unsqueeze(0)).sub_(withMean.unsqueeze(1)).add_(meanSquared);
        }

        var (values, vectors) = linalg.eigh(products); // ascending; reads what lies below the diagonal
        products.Dispose(); // [N, N] in float64: no more of them at a time than need be
        var kept = values.gt(values[-1] * RankTolerance).sum().item<long>();
        var scales = values.narrow(0, count - kept, kept).flip(0).sqrt(); // [k], largest first
        var basis = vectors.narrow(1, count - kept, kept).flip(1); // U [N, k]
        vectors.Dispose();
        var coordinates = basis.mul(scales).to(ScalarType.Float32); // X = U Σ
        var weights = basis.div_(scales); // U Σ⁻¹, and Tᵀ of it: what the mean takes from each document, and unit rows
        if (center)
        {
            weights.sub_(mean.unsqueeze(1) * weights.sum(0, keepdim: true));
        }

        return new(coordinates, weights.mul_(inverse.unsqueeze(1)), norms, Math.Sqrt(Math.Max(0, meanSquared)));
    }

    /// <summary>
    /// Coordinates of sketched rows: the rows themselves, scaled to length 1 (less their mean, where centred). A direction of this
    /// space cannot be brought back: its cosine with the true one would be about √(k/d).
    /// </summary>
    /// <param name="sketches">Sketched whitened rows, <c>[N, k]</c>, float32.</param>
    /// <param name="norms">Whitened norms in full space, <c>[N]</c>, float64; copied.</param>
    /// <param name="learning">Documents that the mean is over; the others are encoded with the same mean.</param>
    /// <param name="center">Whether the mean is taken away.</param>
    /// <exception cref="NumericalException">A document has no gradient.</exception>
    public static GramCoordinates OfSketches(Tensor sketches, Tensor norms, IReadOnlyList<bool> learning, bool center)
    {
        using var scope = NewDisposeScope();
        var lengths = sketches.square().sum(1, keepdim: true, type: ScalarType.Float64).sqrt(); // [N, 1]
        CheckNorms(norms);
        CheckNorms(lengths.flatten());
        var unit = sketches / lengths.to(ScalarType.Float32);
        var mean = unit[tensor(learning.ToArray())].mean([0L], keepdim: true, type: ScalarType.Float64); // [1, k]
        return new(center ? unit - mean.to(ScalarType.Float32) : unit, null, norms.clone(), mean.norm().item<double>());
    }

    /// <summary>Goes on from what was kept. Takes over the tensors.</summary>
    public static GramCoordinates From(Tensor rows, Tensor? weightsOfDirections, Tensor norms, double meanNorm) =>
        new(rows, weightsOfDirections, norms, meanNorm);

    /// <summary>Directions as combinations of whitened gradients: δ = Σ_i b_i w_i.</summary>
    /// <param name="directions"><c>[K, k]</c>.</param>
    /// <returns>b, <c>[K, N]</c>, float64. The caller owns it.</returns>
    /// <exception cref="InvalidOperationException">These are coordinates of sketches (see <see cref="CanLift"/>).</exception>
    public Tensor DocumentWeights(Tensor directions)
    {
        using var scope = NewDisposeScope();
        return directions.to(ScalarType.Float64).matmul(Weights.t()).MoveToOuterDisposeScope();
    }

    /// <summary>The coordinates of documents that the space was not made from: their unit rows, less the same mean, on the same axes.</summary>
    /// <param name="products">w_q · w_i with every document of the space, <c>[n, N]</c>, float64.</param>
    /// <param name="norms">‖w_q‖, <c>[n]</c>, float64.</param>
    /// <param name="whitened">w_i · w_j of the space, <c>[N, N]</c>.</param>
    /// <param name="learning">As the space was made with.</param>
    /// <param name="center">As the space was made with.</param>
    /// <returns><c>[n, k]</c>, float32. The caller owns it.</returns>
    /// <exception cref="InvalidOperationException">These are coordinates of sketches (see <see cref="CanLift"/>).</exception>
    public Tensor Encode(Tensor products, Tensor norms, Tensor whitened, IReadOnlyList<bool> learning, bool center)
    {
        using var scope = NewDisposeScope();
        var coordinates = (products / norms.unsqueeze(1)).matmul(Weights); // [n, k]
        if (center)
        {
            var mean = tensor(learning.Select(learn => learn ? 1.0 : 0.0).ToArray()) / learning.Count(learn => learn) / Norms; // [N]
            coordinates = coordinates - mean.unsqueeze(0).matmul(whitened.to(ScalarType.Float64)).matmul(Weights);
        }

        return coordinates.to(ScalarType.Float32).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Rows.Dispose();
        WeightsOfDirections?.Dispose();
        Norms.Dispose();
    }

    private Tensor Weights => WeightsOfDirections ?? throw new InvalidOperationException("a sketched direction is no combination of documents");

    internal static void CheckNorms(Tensor norms, int first = 0)
    {
        using var scope = NewDisposeScope();
        var smallest = (int)norms.argmin().item<long>();
        if (!(norms[smallest].item<double>() > 0))
        {
            throw new NumericalException(
                $"document at row {first + smallest}",
                "its whitened gradient is zero, so it has no direction",
                "Leave the document out: nothing that it teaches reaches the adapted modules.");
        }
    }
}
