using System.Text.Json;

namespace GradientAtoms.Text.Documents;

/// <summary>Takes the rows of data files in their order.</summary>
internal interface IRowSink
{
    /// <summary>True where no more rows are wanted.</summary>
    bool IsFull { get; }

    /// <summary>A file begins.</summary>
    /// <param name="file">The file.</param>
    /// <param name="header">The bytes of a CSV file's header with its line end; else empty.</param>
    void Begin(DataFile file, ReadOnlySpan<byte> header);

    /// <summary>A row.</summary>
    /// <param name="line">Where it stands, counted over all files.</param>
    /// <param name="row">The row; valid until the call ends.</param>
    /// <param name="raw">Its bytes in the file, with the line end where it has one; empty where the file is no text.</param>
    void Row(int line, JsonElement row, ReadOnlySpan<byte> raw);

    /// <summary>A row that cannot be read.</summary>
    /// <param name="line">Where it stands, counted over all files.</param>
    /// <param name="reason">Why.</param>
    /// <param name="raw">Its bytes in the file; empty where it is too long to be kept.</param>
    void Bad(int line, string reason, ReadOnlySpan<byte> raw);
}

/// <summary>Reads the rows of a data file, or of the files of a folder, whatever their format.</summary>
internal static class RowSource
{
    /// <summary>Reads all of them.</summary>
    /// <param name="path">A file or a folder.</param>
    /// <param name="options">Limits and split.</param>
    /// <param name="sink">Takes the rows.</param>
    /// <param name="cancellationToken">Looked at once a row.</param>
    /// <exception cref="DocumentException">A file cannot be read at all.</exception>
    public static void Read(string path, DocumentReaderOptions options, IRowSink sink, CancellationToken cancellationToken)
    {
        var files = DataFolder.FilesOf(path, options.Split);
        var offset = 0;
        foreach (var file in files)
        {
            if (sink.IsFull)
            {
                return;
            }

            var rows = new FileRows(file, sink, offset, isOneOfSeveral: files.Count > 1, cancellationToken);
            try
            {
                Read(file, options, rows);
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
            {
                throw new DocumentException("GA2001", file.Path, $"the file cannot be read ({failure.Message})", "Look at the file's name and permissions.", failure);
            }
            catch (InvalidDataException failure)
            {
                throw new DocumentException("GA2009", file.Path, $"the compressed data is damaged or cut off ({failure.Message})", "Fetch the file again, or unpack it first.", failure);
            }

            offset = rows.Last;
        }
    }

    private static void Read(DataFile file, DocumentReaderOptions options, FileRows rows)
    {
        switch (file.Format)
        {
            case DataFormat.Parquet:
                ParquetRows.Read(file, options, rows);
                break;
            case DataFormat.Csv:
                CsvRows.Read(file, options, rows);
                break;
            default:
                JsonRows.Read(file, options, rows);
                break;
        }
    }
}

/// <summary>Hands the rows of one file on, with their places counted over all files.</summary>
internal sealed class FileRows(DataFile file, IRowSink sink, int before, bool isOneOfSeveral, CancellationToken cancellationToken)
{
    private readonly int offset = before;

    /// <summary>The place of the last row, counted over all files.</summary>
    public int Last { get; private set; } = before;

    /// <summary>True where no more rows are wanted. Looks at the cancellation.</summary>
    public bool IsFull
    {
        get
        {
            cancellationToken.ThrowIfCancellationRequested();
            return sink.IsFull;
        }
    }

    /// <summary>The file begins.</summary>
    public void Begin(ReadOnlySpan<byte> header = default) => sink.Begin(file, header);

    /// <summary>A row.</summary>
    public void Row(int number, JsonElement row, ReadOnlySpan<byte> raw) => sink.Row(Place(number), row, raw);

    /// <summary>A row that cannot be read.</summary>
    public void Bad(int number, string reason, ReadOnlySpan<byte> raw) =>
        sink.Bad(Place(number), isOneOfSeveral ? $"{Path.GetFileName(file.Path)}, row {number}: {reason}" : reason, raw);

    private int Place(int number) => Last = checked(offset + number);
}

/// <summary>What a data file is written in.</summary>
internal enum DataFormat
{
    /// <summary>JSON Lines, or JSON: its first line tells.</summary>
    Json,

    /// <summary>Values with commas, semicolons or tabs between.</summary>
    Csv,

    /// <summary>Apache Parquet.</summary>
    Parquet,
}

/// <summary>A data file.</summary>
/// <param name="Path">Where it is.</param>
/// <param name="Format">What it is written in.</param>
/// <param name="IsCompressed">Whether gzip is around it.</param>
internal sealed record DataFile(string Path, DataFormat Format, bool IsCompressed)
{
    private static readonly string[] Refused = [".arrow", ".zip", ".zst", ".xz", ".bz2", ".7z", ".tar", ".tgz", ".xlsx", ".feather", ".avro", ".orc"];

    /// <summary>Its name without <c>.gz</c>.</summary>
    public string Extension => ExtensionOf(Path);

    /// <summary>The file that a path names; an error where its name tells a format that is not read.</summary>
    public static DataFile Of(string path)
    {
        var isCompressed = path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase);
        var extension = ExtensionOf(path);
        if (Refused.Contains(extension, StringComparer.OrdinalIgnoreCase) || (isCompressed && extension.Equals(".parquet", StringComparison.OrdinalIgnoreCase)))
        {
            throw new DocumentException("GA2006", path, $"{System.IO.Path.GetExtension(path)} files are not read", "Convert the data to JSON Lines, CSV or Parquet (pandas and datasets write them).");
        }

        return new DataFile(path, FormatOf(extension), isCompressed);
    }

    /// <summary>Whether a name is that of a format that is read.</summary>
    public static bool IsKnown(string path) => ExtensionOf(path).ToUpperInvariant() is ".JSONL" or ".NDJSON" or ".JSON" or ".CSV" or ".TSV"
        || path.EndsWith(".parquet", StringComparison.OrdinalIgnoreCase);

    /// <summary>Opens it at its start, unpacked.</summary>
    public Stream Open()
    {
        var stream = new FileStream(Path, new FileStreamOptions { Mode = FileMode.Open, Access = FileAccess.Read, Share = FileShare.ReadWrite, Options = FileOptions.SequentialScan });
        if (!stream.CanSeek)
        {
            stream.Dispose();
            throw new DocumentException("GA2006", Path, "this is no regular file", "Save the data as a file first.");
        }

        return IsCompressed ? new GzipFile(stream) : stream;
    }

    private static DataFormat FormatOf(string extension) => extension.ToUpperInvariant() switch
    {
        ".PARQUET" => DataFormat.Parquet,
        ".CSV" or ".TSV" => DataFormat.Csv,
        _ => DataFormat.Json,
    };

    private static string ExtensionOf(string path) =>
        System.IO.Path.GetExtension(path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? path[..^3] : path);
}
