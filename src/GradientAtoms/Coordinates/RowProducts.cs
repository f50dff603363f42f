using GradientAtoms.Gradients;
using static TorchSharp.torch;

namespace GradientAtoms.Coordinates;

/// <summary>Products of whitened rows with those of a run.</summary>
public static class RowProducts
{
    /// <summary>w_q · w_i for other rows q and every document i; products in float32, sums over tiles of columns in float64.</summary>
    /// <param name="rows">Rotated gradients of the documents.</param>
    /// <param name="layout">The tracked maps.</param>
    /// <param name="whitening">How they are evened out.</param>
    /// <param name="whitened">The other rows, rotated and whitened the same way, <c>[n, d]</c>, float32.</param>
    /// <param name="progress">Told after every map.</param>
    /// <param name="cancellationToken">Looked at once a tile.</param>
    /// <returns><c>[n, N]</c>, float64. The caller owns it.</returns>
    public static Tensor Compute(
        IRowSource rows, ParameterLayout layout, Whitening whitening, Tensor whitened, IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        using var scope = NewDisposeScope();
        var products = zeros([whitened.shape[0], rows.RowCount], dtype: ScalarType.Float64);
        RowTiles.Stream(
            rows,
            layout,
            tile => products.add_(tile.Of(whitened).matmul((tile.Rows * tile.Of(whitening.Scale)).t()).to(ScalarType.Float64)),
            (_, done) => progress?.Report(new("products", done, layout.Maps.Count, "maps")),
            cancellationToken);
        return products.MoveToOuterDisposeScope();
    }
}
