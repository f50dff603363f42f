using Parquet;
using Parquet.Schema;

namespace GradientAtoms.Runs.Formats;

/// <summary>What became of a document of the data.</summary>
public sealed record DocumentRow
{
    /// <summary>The document's id.</summary>
    public required string Id { get; init; }

    /// <summary>Its line or row in the data file, from 1.</summary>
    public required int SourceRow { get; init; }

    /// <summary>Tokens, after truncation.</summary>
    public int Tokens { get; init; }

    /// <summary>Tokens that the loss sums over.</summary>
    public int TrainedTokens { get; init; }

    /// <summary>Tokens cut off at the end.</summary>
    public int TruncatedTokens { get; init; }

    /// <summary>Sum of the trained tokens' −log p; null where it was not computed.</summary>
    public double? Loss { get; init; }

    /// <summary>‖g‖; null where it was not computed.</summary>
    public double? GradientNorm { get; init; }

    /// <summary><c>train</c> or <c>held_out</c>; null for a document that is not used.</summary>
    public string? Split { get; init; }

    /// <summary><c>used</c>, <c>duplicate</c> or <c>rejected</c>.</summary>
    public required string Status { get; init; }

    /// <summary>Why it is not used, in words; null for one that is.</summary>
    public string? Reason { get; init; }

    /// <summary>The id of the document that it is a copy of.</summary>
    public string? DuplicateOf { get; init; }
}

/// <summary><c>documents.parquet</c>: a row for each document of the data, used or not, in the order of the data.</summary>
public static class DocumentsFile
{
    private const int RowsPerGroup = 1 << 16;

    private static readonly DataField Id = new("id", typeof(string), isNullable: false);
    private static readonly DataField SourceRow = new("source_row", typeof(int), isNullable: false);
    private static readonly DataField Tokens = new("tokens", typeof(int), isNullable: false);
    private static readonly DataField TrainedTokens = new("trained_tokens", typeof(int), isNullable: false);
    private static readonly DataField TruncatedTokens = new("truncated_tokens", typeof(int), isNullable: false);
    private static readonly DataField Loss = new("loss", typeof(double), isNullable: true);
    private static readonly DataField GradientNorm = new("gradient_norm", typeof(double), isNullable: true);
    private static readonly DataField Split = new("split", typeof(string), isNullable: true);
    private static readonly DataField Status = new("status", typeof(string), isNullable: false);
    private static readonly DataField Reason = new("reason", typeof(string), isNullable: true);
    private static readonly DataField DuplicateOf = new("duplicate_of", typeof(string), isNullable: true);
    private static readonly ParquetSchema Schema = new(Id, SourceRow, Tokens, TrainedTokens, TruncatedTokens, Loss, GradientNorm, Split, Status, Reason, DuplicateOf);

    /// <summary>Writes the file: the same rows give the same bytes.</summary>
    /// <param name="stream">Where to; left open.</param>
    /// <param name="rows">One a document.</param>
    public static void Write(Stream stream, IReadOnlyList<DocumentRow> rows) => WriteAsync(stream, rows).GetAwaiter().GetResult();

    /// <summary>Reads the file.</summary>
    /// <param name="path">Of a run's <c>documents.parquet</c>.</param>
    /// <exception cref="RunFolderException">GA2607 it is missing; GA2609 it cannot be read.</exception>
    public static IReadOnlyList<DocumentRow> Read(string path)
    {
        using var stream = FormatGuard.Open(path);

        // The library throws many kinds on damaged files, IndexOutOfRange and NullReference among them.
#pragma warning disable CA1031
        try
        {
            return Task.Run(() => ReadAsync(stream)).GetAwaiter().GetResult();
        }
        catch (Exception exception)
        {
            throw FormatGuard.Damaged(path, exception.Message, exception);
        }
#pragma warning restore CA1031
    }

    private static async Task WriteAsync(Stream stream, IReadOnlyList<DocumentRow> rows)
    {
        var writer = await ParquetWriter.CreateAsync(Schema, stream).ConfigureAwait(false);
        await using (writer.ConfigureAwait(false))
        {
            foreach (var chunk in rows.Chunk(RowsPerGroup))
            {
                using var group = writer.CreateRowGroup();
                await group.WriteAsync(Id, [.. chunk.Select(row => row.Id)]).ConfigureAwait(false);
                await Integers(group, SourceRow, chunk, row => row.SourceRow).ConfigureAwait(false);
                await Integers(group, Tokens, chunk, row => row.Tokens).ConfigureAwait(false);
                await Integers(group, TrainedTokens, chunk, row => row.TrainedTokens).ConfigureAwait(false);
                await Integers(group, TruncatedTokens, chunk, row => row.TruncatedTokens).ConfigureAwait(false);
                await Numbers(group, Loss, chunk, row => row.Loss).ConfigureAwait(false);
                await Numbers(group, GradientNorm, chunk, row => row.GradientNorm).ConfigureAwait(false);
                await Words(group, Split, chunk, row => row.Split).ConfigureAwait(false);
                await Words(group, Status, chunk, row => row.Status).ConfigureAwait(false);
                await Words(group, Reason, chunk, row => row.Reason).ConfigureAwait(false);
                await Words(group, DuplicateOf, chunk, row => row.DuplicateOf).ConfigureAwait(false);
            }
        }
    }

    private static async Task Integers(ParquetRowGroupWriter group, DataField field, DocumentRow[] rows, Func<DocumentRow, int> value) =>
        await group.WriteAsync<int>(field, rows.Select(value).ToArray()).ConfigureAwait(false);

    private static async Task Numbers(ParquetRowGroupWriter group, DataField field, DocumentRow[] rows, Func<DocumentRow, double?> value) =>
        await group.WriteAsync<double>(field, rows.Select(value).ToArray()).ConfigureAwait(false);

    private static async Task Words(ParquetRowGroupWriter group, DataField field, DocumentRow[] rows, Func<DocumentRow, string?> value) =>
        await group.WriteAsync(field, rows.Select(value).ToArray()!).ConfigureAwait(false);

    private static async Task<IReadOnlyList<DocumentRow>> ReadAsync(FileStream stream)
    {
        var reader = await ParquetReader.CreateAsync(stream).ConfigureAwait(false);
        await using (reader.ConfigureAwait(false))
        {
            var rows = new List<DocumentRow>();
            for (var index = 0; index < reader.RowGroupCount; index++)
            {
                using var group = reader.OpenRowGroupReader(index);

                // Ids differ, so a row takes more than a bit or two: a count beyond that is damage, and must not be allocated.
                if (group.RowCount < 0 || group.RowCount > stream.Length * 4)
                {
                    throw new InvalidDataException($"{group.RowCount} rows in {stream.Length} bytes");
                }

                await ReadGroup(reader.Schema, group, (int)group.RowCount, rows).ConfigureAwait(false);
            }

            return rows;
        }
    }

    private static async Task ReadGroup(ParquetSchema schema, ParquetRowGroupReader group, int count, List<DocumentRow> rows)
    {
        async Task<int[]> Integers(DataField field)
        {
            var values = new int[count];
            await group.ReadAsync<int>(Find(schema, field), values.AsMemory()).ConfigureAwait(false);
            return values;
        }

        async Task<double?[]> Numbers(DataField field)
        {
            var values = new double?[count];
            await group.ReadAsync<double>(Find(schema, field), values.AsMemory()).ConfigureAwait(false);
            return values;
        }

        async Task<string?[]> Words(DataField field)
        {
            var values = new string?[count];
            await group.ReadAsync(Find(schema, field), values.AsMemory()!).ConfigureAwait(false);
            return values;
        }

        var (ids, sourceRows, tokens, trained, truncated) = (await Words(Id).ConfigureAwait(false), await Integers(SourceRow).ConfigureAwait(false), await Integers(Tokens).ConfigureAwait(false), await Integers(TrainedTokens).ConfigureAwait(false), await Integers(TruncatedTokens).ConfigureAwait(false));
        var (losses, norms) = (await Numbers(Loss).ConfigureAwait(false), await Numbers(GradientNorm).ConfigureAwait(false));
        var (splits, statuses, reasons, originals) = (await Words(Split).ConfigureAwait(false), await Words(Status).ConfigureAwait(false), await Words(Reason).ConfigureAwait(false), await Words(DuplicateOf).ConfigureAwait(false));
        for (var row = 0; row < count; row++)
        {
            rows.Add(new()
            {
                Id = ids[row] ?? throw new InvalidDataException($"row {row} has no id"),
                SourceRow = sourceRows[row],
                Tokens = tokens[row],
                TrainedTokens = trained[row],
                TruncatedTokens = truncated[row],
                Loss = losses[row],
                GradientNorm = norms[row],
                Split = splits[row],
                Status = statuses[row] ?? throw new InvalidDataException($"row {row} has no status"),
                Reason = reasons[row],
                DuplicateOf = originals[row],
            });
        }
    }

    private static DataField Find(ParquetSchema schema, DataField field) =>
        schema.DataFields.FirstOrDefault(found => found.Name == field.Name && found.ClrType == field.ClrType)
        ?? throw new InvalidDataException($"has no column {field.Name} of {field.ClrType.Name}");
}
