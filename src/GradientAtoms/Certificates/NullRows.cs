using static TorchSharp.torch;

namespace GradientAtoms.Certificates;

/// <summary>
/// Rows with the mean, the covariance and the lengths of given rows, and no other structure. With X = 1mᵀ + U S Vᵀ a draw is
/// 1mᵀ + Q S Vᵀ, where Q [N, r] has orthonormal columns of random direction, all orthogonal to 1: every document becomes a random
/// mixture of all documents. Q is then scaled, by documents and by directions in turn (Sinkhorn and Knopp 1967, on the squares of
/// its entries), until every row has the length of its document and every direction its variance. Owns its tensors.
/// </summary>
/// <remarks>
/// The second step matters where a few directions carry much of the energy: scaling a rotated row to length 1 takes more from them
/// than from the rest, so nulls without it have a milder spectrum than the rows that they stand for, and pass too much.
/// </remarks>
internal sealed class NullRows : IDisposable
{
    // Eigenvalues below this share of the largest are rounding.
    private const double RankTolerance = 1e-10;
    private const int LargestRounds = 100;
    private const double Accuracy = 1e-3; // relative, of a direction's energy

    private readonly Tensor _mean; // [1, k]
    private readonly Tensor _scales; // S [r]
    private readonly Tensor _directions; // Vᵀ [r, k]
    private readonly Tensor _lengths; // [N, 1]

    private NullRows(Tensor mean, Tensor scales, Tensor directions, Tensor lengths)
    {
        (_mean, _scales, _directions, _lengths) = (mean.DetachFromDisposeScope(), scales.DetachFromDisposeScope(), directions.DetachFromDisposeScope(), lengths.DetachFromDisposeScope());
    }

    /// <summary>Takes mean, spectrum and lengths.</summary>
    /// <param name="rows"><c>[N, k]</c>; stays the caller's.</param>
    public static NullRows Fit(Tensor rows)
    {
        using var scope = NewDisposeScope();
        var wide = rows.to(ScalarType.Float64);
        var mean = wide.mean([0L], keepdim: true);
        var centred = wide - mean;
        var isTall = centred.shape[0] >= centred.shape[1];
        var gram = isTall ? centred.t().matmul(centred) : centred.matmul(centred.t());
        var (values, vectors) = linalg.eigh(gram); // ascending
        var kept = values.gt(Math.Max(values[-1].item<double>() * RankTolerance, double.Epsilon)).nonzero().flatten();
        // Centred rows have rank N − 1 at most: a draw has no more room.
        kept = kept.narrow(0, Math.Max(0, kept.shape[0] - (centred.shape[0] - 1)), Math.Min(kept.shape[0], centred.shape[0] - 1));
        var scales = values.index_select(0, kept).sqrt();
        var basis = vectors.index_select(1, kept);
        var directions = isTall ? basis.t().contiguous() : basis.t().matmul(centred) / scales.unsqueeze(1);
        return new(mean, scales, directions, wide.square().sum(1, keepdim: true).sqrt());
    }

    /// <summary>Documents, N.</summary>
    public long DocumentCount => _lengths.shape[0];

    /// <summary>Draws rows.</summary>
    /// <param name="generator">Where the numbers come from; stays the caller's.</param>
    /// <returns><c>[N, k]</c>, float32. The caller owns it.</returns>
    public Tensor Draw(Generator generator)
    {
        using var scope = NewDisposeScope();
        var (count, rank) = (_lengths.shape[0], _scales.shape[0]);
        if (rank == 0)
            return _mean.expand(count, -1).to(ScalarType.Float32).clone().MoveToOuterDisposeScope();
        var q = Orthonormal(count, rank, generator);
        var along = _mean.matmul(_directions.t()).flatten(); // of the mean, in the directions
        var across = _mean - along.matmul(_directions); // and beside them
        var (scales, shrink) = Fit(q, along, across.square().sum());
        var rows = ((q * scales) + along) * shrink.unsqueeze(1);
        return (rows.to(ScalarType.Float32).matmul(_directions.to(ScalarType.Float32)) + (shrink.unsqueeze(1) * across).to(ScalarType.Float32)).MoveToOuterDisposeScope();
    }

    // Columns of random direction, orthogonal to each other and to 1, [N, r]. What it takes on the way is large, and gone when it returns.
    private static Tensor Orthonormal(long count, long rank, Generator generator)
    {
        using var scope = NewDisposeScope();
        var gaussian = randn([count, rank], ScalarType.Float64, generator: generator);
        gaussian.sub_(gaussian.mean([0L], keepdim: true));
        var (basis, triangle) = linalg.qr(gaussian);
        // Without the signs the draw would depend on how the library picks them.
        return basis.mul_(triangle.diagonal().sign()).MoveToOuterDisposeScope();
    }

    // Scales of the directions [r] and of the documents [N] for which f∘(Q s + m) has the lengths and the energies. With the squares of Q at hand a round is a few products of matrix and vector.
    private (Tensor Scales, Tensor Shrink) Fit(Tensor q, Tensor mean, Tensor beside)
    {
        using var scope = NewDisposeScope();
        var (squares, lengths, energies) = (q.square(), _lengths.flatten(), _scales.square());
        var scales = _scales;
        for (var round = 0; ; round++)
        {
            using var inner = NewDisposeScope();
            var shrink = lengths / (squares.mv(scales.square()) + (2 * q.mv(scales * mean)) + mean.square().sum() + beside).clamp_min(double.Epsilon).sqrt();
            var weights = shrink.square();
            var means = ((scales * q.t().mv(shrink)) + (mean * shrink.sum())) / q.shape[0];
            var found = (scales.square() * squares.t().mv(weights)) + (2 * mean * scales * q.t().mv(weights)) + (mean.square() * weights.sum()) - (q.shape[0] * means.square());
            if (round == LargestRounds || ((found / energies) - 1).abs().max().item<double>() <= Accuracy)
            {
                shrink.MoveToOuterDisposeScope().MoveToOuterDisposeScope();
                return (round == 0 ? scales : scales.MoveToOuterDisposeScope(), shrink);
            }

            scales = (scales * (energies / found.clamp_min(double.Epsilon)).sqrt()).MoveToOuterDisposeScope();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _mean.Dispose();
        _scales.Dispose();
        _directions.Dispose();
        _lengths.Dispose();
    }
}
