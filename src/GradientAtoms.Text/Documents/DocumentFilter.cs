using System.Text.Json;

namespace GradientAtoms.Text.Documents;

/// <summary>What a filter wrote.</summary>
/// <param name="Copied">Rows written.</param>
/// <param name="Dropped">Rows left out.</param>
/// <param name="Format"><c>json lines</c>, <c>json</c> or <c>csv</c>.</param>
public sealed record FilterResult(int Copied, int Dropped, string Format);

/// <summary>Writes some rows of a data file as another data file.</summary>
public static class DocumentFilter
{
    private const int LongestRow = 1 << 30;

    /// <summary>
    /// Copies the rows that are wanted, also those that no document comes from. Rows of JSON Lines, JSON and CSV are copied
    /// byte for byte, as a file of the same format without gzip; rows of Parquet, and those of a folder's files that are
    /// not all JSON Lines or all CSV with the same header, are written as JSON Lines.
    /// </summary>
    /// <param name="path">A file or a folder, as <see cref="DocumentReader.Read"/> reads it.</param>
    /// <param name="output">Where to; left open.</param>
    /// <param name="isWanted">Given a row's <see cref="Document.Line"/>.</param>
    /// <param name="split">Of a folder: <c>train</c> where null.</param>
    /// <param name="cancellationToken">Looked at once a row.</param>
    /// <exception cref="DocumentException">The data cannot be read (see <see cref="DocumentReader.Read"/>).</exception>
    public static FilterResult Copy(string path, Stream output, Func<int, bool> isWanted, string? split = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(isWanted);
        var files = DataFolder.FilesOf(path, split);
        var style = files.Select(StyleOf).Distinct().ToList() is [var only] && (only != Style.Json || files.Count == 1) ? only : Style.Lines;
        if (style == Style.Csv && files.Count > 1 && files.Select(HeaderOf).Distinct(StringComparer.Ordinal).Count() > 1)
        {
            style = Style.Lines;
        }

        var writer = new Writer(output, isWanted, style, copiesRaw: files.All(file => StyleOf(file) == style && file.Format != DataFormat.Parquet));
        RowSource.Read(path, new() { Split = split, MaxRowBytes = LongestRow }, writer, cancellationToken);
        return writer.Finish();
    }

    private static Style StyleOf(DataFile file) => file.Format switch
    {
        DataFormat.Csv => Style.Csv,
        DataFormat.Json when JsonRows.IsJson(file, LongestRow) => Style.Json,
        _ => Style.Lines,
    };

    private static string HeaderOf(DataFile file)
    {
        using var stream = file.Open();
        var lines = new LineReader(stream, LongestRow);
        return lines.TryRead(out var line, out _) ? Convert.ToHexString(JsonRows.WithoutMark(line, 1).Span) : "";
    }

    private enum Style
    {
        Lines,
        Json,
        Csv,
    }

    private sealed class Writer(Stream output, Func<int, bool> isWanted, Style style, bool copiesRaw) : IRowSink
    {
        private int copied;
        private int dropped;
        private bool hasHeader;

        public bool IsFull => false;

        public void Begin(DataFile file, ReadOnlySpan<byte> header)
        {
            if (style == Style.Csv && !hasHeader)
            {
                WriteLine(header);
                hasHeader = true;
            }
        }

        public void Row(int line, JsonElement row, ReadOnlySpan<byte> raw)
        {
            if (!IsKept(line))
            {
                return;
            }

            if (style == Style.Json)
            {
                output.Write(copied == 1 ? "[\n"u8 : ",\n"u8);
                output.Write(raw);
            }
            else if (copiesRaw)
            {
                WriteLine(raw);
            }
            else
            {
                using (var writer = new Utf8JsonWriter(output, new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
                {
                    row.WriteTo(writer);
                }

                output.WriteByte((byte)'\n');
            }
        }

        public void Bad(int line, string reason, ReadOnlySpan<byte> raw)
        {
            // What cannot be read as a row has no other form than its own.
            if (raw.IsEmpty || !copiesRaw)
            {
                dropped++;
            }
            else if (IsKept(line))
            {
                WriteLine(raw);
            }
        }

        public FilterResult Finish()
        {
            if (style == Style.Json)
            {
                output.Write(copied == 0 ? "[]\n"u8 : "\n]\n"u8);
            }

            return new(copied, dropped, style switch { Style.Json => "json", Style.Csv => "csv", _ => "json lines" });
        }

        private bool IsKept(int line)
        {
            var isKept = isWanted(line);
            copied += isKept ? 1 : 0;
            dropped += isKept ? 0 : 1;
            return isKept;
        }

        private void WriteLine(ReadOnlySpan<byte> row)
        {
            output.Write(row);
            if (row is not [.., (byte)'\n'] && !(style == Style.Csv && row is [.., (byte)'\r']))
            {
                output.WriteByte((byte)'\n'); // a file's last row may lack its end, and need not stay the last
            }
        }
    }
}
