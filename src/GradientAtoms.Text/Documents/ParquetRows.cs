using System.Buffers;
using System.Text.Json;
using Parquet;

namespace GradientAtoms.Text.Documents;

/// <summary>Reads Parquet files, a row group at a time, each row as the JSON that it stands for: lists, structs and maps of them.</summary>
internal static class ParquetRows
{
    // A group of more values a column than this is damage, or was written to be read as a whole.
    private const long MostValues = 1L << 24;

    /// <summary>Reads a file.</summary>
    public static void Read(DataFile file, DocumentReaderOptions options, FileRows rows)
    {
        using var stream = file.Open();
        using var pages = file.Open();
        if (stream.Length == 0)
        {
            throw new DocumentException("GA2002", file.Path, "the file is empty", "Give a Parquet file with rows.");
        }

        rows.Begin();
        try
        {
            ParquetFooter.Check(pages);
        }
        catch (InvalidDataException damage)
        {
            throw Unreadable(file, damage);
        }

        // The library throws many kinds on damaged files, IndexOutOfRange and NullReference among them; what the sink throws has a code or ends the program.
#pragma warning disable CA1031
        try
        {
            Task.Run(() => ReadAsync(stream, pages, options, rows)).GetAwaiter().GetResult();
        }
        catch (Exception failure) when (failure is not (DocumentException or OperationCanceledException or SinkFailure))
        {
            throw Unreadable(file, failure);
        }
        catch (SinkFailure failure)
        {
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure.InnerException!);
        }
#pragma warning restore CA1031
    }

    private static DocumentException Unreadable(DataFile file, Exception failure) => new(
        "GA2008", file.Path, $"the file is no Parquet file that can be read ({failure.Message})", "Fetch or write the file again; what wrote it may use a feature that is not supported.", failure);

    private static async Task ReadAsync(Stream stream, Stream pages, DocumentReaderOptions options, FileRows rows)
    {
        var reader = await ParquetReader.CreateAsync(stream, new ParquetOptions { TreatByteArrayAsString = true }, leaveStreamOpen: true).ConfigureAwait(false);
        await using (reader.ConfigureAwait(false))
        {
            var number = 0;
            for (var index = 0; index < reader.RowGroupCount && !rows.IsFull; index++)
            {
                using var group = reader.OpenRowGroupReader(index);
                if (group.RowCount is < 0 or > MostValues)
                {
                    throw new InvalidDataException($"row group {index} has {group.RowCount} rows, and {MostValues} are the most that are read");
                }

                var columns = new List<ParquetNode>();
                foreach (var field in reader.Schema.Fields)
                {
                    var isWanted = options.Columns?.Contains(field.Name) ?? true;
                    columns.Add(isWanted ? await ParquetNode.ReadAsync(group, pages, field, MostValues).ConfigureAwait(false) : ParquetNode.Absent(field));
                }

                number = Hand((int)group.RowCount, columns, number, options, rows);
            }
        }
    }

    private static int Hand(int count, List<ParquetNode> columns, int number, DocumentReaderOptions options, FileRows rows)
    {
        var json = new ArrayBufferWriter<byte>();
        using var writer = new Utf8JsonWriter(json);
        for (var i = 0; i < count && !rows.IsFull; i++)
        {
            json.ResetWrittenCount();
            writer.Reset();
            writer.WriteStartObject();
            foreach (var column in columns)
            {
                writer.WritePropertyName(column.Name);
                column.Write(writer);
            }

            writer.WriteEndObject();
            writer.Flush();
            number++;
            try
            {
                if (json.WrittenCount > options.MaxRowBytes)
                {
                    rows.Bad(number, $"the row has more than {options.MaxRowBytes} bytes", default);
                    continue;
                }

                using var row = JsonDocument.Parse(json.WrittenMemory);
                rows.Row(number, row.RootElement, default);
            }
            catch (Exception failure) when (failure is not (DocumentException or OperationCanceledException))
            {
                throw new SinkFailure(failure);
            }
        }

        return number;
    }

    /// <summary>What the taker of rows threw: no damage of the file.</summary>
    private sealed class SinkFailure(Exception cause) : Exception(cause.Message, cause);
}
