using Parquet;
using Parquet.Schema;

namespace GradientAtoms.Runs.Formats;

/// <summary>A column of a table.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">Of its values: <see cref="string"/>, <see cref="int"/>, <see cref="float"/>, <see cref="double"/> or <see cref="bool"/>.</param>
/// <param name="IsNullable">Whether values may be missing.</param>
internal sealed record TableColumn(string Name, Type Type, bool IsNullable = false);

/// <summary>Tables of any columns as Parquet.</summary>
internal static class ParquetTable
{
    private const int RowsPerGroup = 1 << 16;

    /// <summary>Writes a table: the same rows give the same bytes.</summary>
    /// <param name="stream">Where to; left open.</param>
    /// <param name="columns">At least one.</param>
    /// <param name="rows">Each with a value a column, read once.</param>
    /// <returns>Rows written.</returns>
    public static int Write(Stream stream, IReadOnlyList<TableColumn> columns, IEnumerable<object?[]> rows) => WriteAsync(stream, columns, rows).GetAwaiter().GetResult();

    private static async Task<int> WriteAsync(Stream stream, IReadOnlyList<TableColumn> columns, IEnumerable<object?[]> rows)
    {
        DataField[] fields = [.. columns.Select(column => new DataField(column.Name, column.Type, isNullable: column.IsNullable))];
        var count = 0;
        var writer = await ParquetWriter.CreateAsync(new ParquetSchema(fields), stream).ConfigureAwait(false);
        await using (writer.ConfigureAwait(false))
        {
            foreach (var chunk in rows.Chunk(RowsPerGroup))
            {
                using var group = writer.CreateRowGroup();
                for (var column = 0; column < fields.Length; column++)
                {
                    await WriteColumn(group, fields[column], columns[column], [.. chunk.Select(row => row[column])]).ConfigureAwait(false);
                }

                count += chunk.Length;
            }
        }

        return count;
    }

    private static ValueTask WriteColumn(ParquetRowGroupWriter group, DataField field, TableColumn column, object?[] values)
    {
        async ValueTask Numbers<T>()
            where T : struct
        {
            if (column.IsNullable)
            {
                await group.WriteAsync<T>(field, values.Select(value => (T?)value).ToArray()).ConfigureAwait(false);
            }
            else
            {
                await group.WriteAsync<T>(field, values.Select(value => (T)value!).ToArray()).ConfigureAwait(false);
            }
        }

        async ValueTask Words() => await group.WriteAsync(field, values.Select(value => (string?)value).ToArray()!).ConfigureAwait(false);

        return column.Type switch
        {
            var type when type == typeof(string) => Words(),
            var type when type == typeof(int) => Numbers<int>(),
            var type when type == typeof(float) => Numbers<float>(),
            var type when type == typeof(double) => Numbers<double>(),
            var type when type == typeof(bool) => Numbers<bool>(),
            var type => throw new ArgumentException($"a column of {type.Name}", nameof(column)),
        };
    }
}
