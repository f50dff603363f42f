using GradientAtoms.Gradients;
using static TorchSharp.torch;

namespace GradientAtoms.Coordinates;

/// <summary>A range of columns of all rows, within one tracked map.</summary>
/// <param name="Map">The map.</param>
/// <param name="First">The first column, counted from the map's own.</param>
/// <param name="Rows"><c>[N, c]</c>, float32; lives until the next tile, and may be changed.</param>
public sealed record RowTile(TrackedMap Map, long First, Tensor Rows)
{
    private const long MostColumns = 16_384;
    private const long LeastColumns = 1024;
    private const long Numbers = 32L << 20;

    /// <summary>Columns of a tile, where its map has as many: 16,384, or as many as take 128 MiB.</summary>
    /// <param name="rows">Rows, N.</param>
    public static long ColumnsOf(long rows) => Math.Clamp(Numbers / Math.Max(1, rows), LeastColumns, MostColumns);

    /// <summary>The same columns of something that has all of them in its last dimension.</summary>
    /// <returns>A view of them.</returns>
    public Tensor Of(Tensor values) => values.narrow(-1, Map.Offset + First, Rows.shape[1]);
}

/// <summary>The rows once through, columns by columns and map by map: no more of them is in memory than a tile.</summary>
internal static class RowTiles
{
    /// <summary>Hands out every tile.</summary>
    /// <param name="rows">Rotated gradients.</param>
    /// <param name="layout">The tracked maps.</param>
    /// <param name="tile">Gets each; tensors that it makes are gone when it returns.</param>
    /// <param name="mapDone">Told after the last tile of a map, with the number of maps done.</param>
    /// <param name="cancellationToken">Looked at once a tile.</param>
    public static void Stream(IRowSource rows, ParameterLayout layout, Action<RowTile> tile, Action<TrackedMap, int>? mapDone = null, CancellationToken cancellationToken = default)
    {
        var columns = RowTile.ColumnsOf(rows.RowCount);
        for (var index = 0; index < layout.Maps.Count; index++)
        {
            var map = layout.Maps[index];
            for (var first = 0L; first < map.Size; first += columns)
            {
                cancellationToken.ThrowIfCancellationRequested();
                using var scope = NewDisposeScope();
                tile(new(map, first, rows.ReadColumns(map.Offset + first, Math.Min(columns, map.Size - first))));
            }

            mapDone?.Invoke(map, index + 1);
        }
    }
}
