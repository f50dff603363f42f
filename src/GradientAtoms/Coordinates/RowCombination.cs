using GradientAtoms.Gradients;
using static TorchSharp.torch;

namespace GradientAtoms.Coordinates;

/// <summary>Sums of rotated gradients with weights: how directions come back to the weights.</summary>
public static class RowCombination
{
    /// <summary>Σ_i b_i Qᵀg_i for each row of weights, map by map; the sink sees a map at a time.</summary>
    /// <param name="rows">Rotated gradients.</param>
    /// <param name="layout">The tracked maps.</param>
    /// <param name="weights">b, <c>[K, N]</c>.</param>
    /// <param name="sink">Gets a map and its sums, <c>[K, d_m]</c>, float32, which live until it returns.</param>
    /// <param name="progress">Told after every map.</param>
    /// <param name="cancellationToken">Looked at once a tile.</param>
    public static void Stream(
        IRowSource rows, ParameterLayout layout, Tensor weights, Action<TrackedMap, Tensor> sink, IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default) =>
        Stream(rows, layout, weights, sink, null, progress, cancellationToken);

    /// <summary>The same, with a look at each tile that goes by.</summary>
    /// <param name="rows">Rotated gradients.</param>
    /// <param name="layout">The tracked maps.</param>
    /// <param name="weights">b, <c>[K, N]</c>.</param>
    /// <param name="sink">Gets a map and its sums, <c>[K, d_m]</c>, float32, which live until it returns.</param>
    /// <param name="look">Gets every tile before it is added, or null.</param>
    /// <param name="progress">Told after every map.</param>
    /// <param name="cancellationToken">Looked at once a tile.</param>
    public static void Stream(
        IRowSource rows, ParameterLayout layout, Tensor weights, Action<TrackedMap, Tensor> sink, Action<RowTile>? look, IProgress<StageProgress>? progress, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        var single = weights.to(ScalarType.Float32);
        Tensor? sums = null;
        RowTiles.Stream(
            rows,
            layout,
            tile =>
            {
                look?.Invoke(tile);
                sums ??= empty([single.shape[0], tile.Map.Size], dtype: ScalarType.Float32).MoveToOuterDisposeScope();
                sums.narrow(1, tile.First, tile.Rows.shape[1]).copy_(single.matmul(tile.Rows));
            },
            (map, done) =>
            {
                using var inner = NewDisposeScope();
                using (sums)
                {
                    sink(map, sums!);
                }

                sums = null;
                progress?.Report(new("lift", done, layout.Maps.Count, "maps"));
            },
            cancellationToken);
    }

    /// <summary>The same, whole.</summary>
    /// <returns><c>[K, d]</c>, float32. The caller owns it.</returns>
    public static Tensor Sum(IRowSource rows, ParameterLayout layout, Tensor weights)
    {
        using var scope = NewDisposeScope();
        var sums = empty([weights.shape[0], layout.Size], dtype: ScalarType.Float32);
        Stream(rows, layout, weights, (map, part) => sums.narrow(1, map.Offset, map.Size).copy_(part));
        return sums.MoveToOuterDisposeScope();
    }

    /// <summary>Squared norms by map of whitened directions Σ_i b_i w_i: where in the network an atom lives.</summary>
    /// <param name="rows">Rotated gradients.</param>
    /// <param name="layout">The tracked maps.</param>
    /// <param name="whitening">How the rows are evened out.</param>
    /// <param name="weights">b, <c>[K, N]</c>.</param>
    /// <param name="progress">Told after every map.</param>
    /// <param name="cancellationToken">Looked at once a tile.</param>
    /// <returns><c>[K, maps]</c>, float64, in the layout's order. The caller owns it.</returns>
    public static Tensor EnergyByMap(
        IRowSource rows, ParameterLayout layout, Whitening whitening, Tensor weights, IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        using var scope = NewDisposeScope();
        var energies = zeros([weights.shape[0], layout.Maps.Count], dtype: ScalarType.Float64);
        var column = 0;
        Stream(
            rows,
            layout,
            weights,
            (map, part) => energies.select(1, column++).copy_(
                (part * whitening.Scale.narrow(0, map.Offset, map.Size)).square().sum(1, type: ScalarType.Float64)),
            progress,
            cancellationToken);
        return energies.MoveToOuterDisposeScope();
    }
}
