using System.Text.Json;
using System.Text.Unicode;

namespace GradientAtoms.Text.Documents;

/// <summary>Reads data files: JSON Lines, and JSON with an array of rows.</summary>
/// <remarks>
/// JSON Lines are read line by line, JSON is read whole. The layout is that of the first row that can be used (or the
/// map's); a row of another layout is rejected.
/// </remarks>
public static class DocumentReader
{
    /// <summary>Keys under which JSON objects keep their rows.</summary>
    private static readonly string[] RowKeys = ["data", "rows", "train", "examples", "documents", "items"];

    private static readonly string[] LineExtensions = [".jsonl", ".ndjson"];

    private static readonly string[] OtherExtensions = [".csv", ".tsv", ".parquet", ".arrow", ".gz", ".zip", ".zst", ".xz", ".bz2"];

    /// <summary>Reads a file. A row that cannot be used is listed with its reason, and the rest goes on.</summary>
    /// <param name="path">JSON Lines (one row a line), a JSON array, or a JSON object that holds one.</param>
    /// <param name="options">Map, side and limit; null for the defaults.</param>
    /// <param name="cancellationToken">Looked at once a row.</param>
    /// <exception cref="DocumentException">GA2001: missing or unreadable. GA2002: empty. GA2003: not JSON. GA2004: no row can be used. GA2005: a map that makes no sense. GA2006: a folder or a format that is not read here.</exception>
    public static DocumentSet Read(string path, DocumentReaderOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(path);
        options ??= new();
        ArgumentOutOfRangeException.ThrowIfLessThan(options.MaxRowBytes, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.MaxJsonBytes, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Limit ?? 1, 1, nameof(options));
        var rows = new DocumentCollector(path, options);
        Refuse(path);
        try
        {
            using var stream = new FileStream(path, new FileStreamOptions { Mode = FileMode.Open, Access = FileAccess.Read, Share = FileShare.ReadWrite, Options = FileOptions.SequentialScan });
            if (!stream.CanSeek)
            {
                throw new DocumentException("GA2006", path, "this is no regular file", "Save the data as a file first.");
            }

            if (IsJson(stream, path, options.MaxRowBytes))
            {
                ReadJson(stream, path, options, rows, cancellationToken);
            }
            else
            {
                ReadLines(stream, options, rows, cancellationToken);
            }
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new DocumentException("GA2001", path, $"the file cannot be read ({failure.Message})", "Look at the file's name and permissions.", failure);
        }

        return rows.Finish();
    }

    private static void Refuse(string path)
    {
        if (Directory.Exists(path))
        {
            throw new DocumentException("GA2006", path, "this is a folder, and one data file is expected", "Name the JSON Lines or JSON file in it.");
        }

        if (path.Length == 0 || path.Contains('\0', StringComparison.Ordinal) || !File.Exists(path))
        {
            throw new DocumentException("GA2001", path, "there is no such file", "Look at the path that --data names.");
        }

        if (OtherExtensions.Contains(Path.GetExtension(path), StringComparer.OrdinalIgnoreCase))
        {
            throw new DocumentException("GA2006", path, $"{Path.GetExtension(path)} files are not read", "Convert the data to JSON Lines, one row a line.");
        }
    }

    /// <summary>Tells JSON from JSON Lines by the first line; leaves the stream where its text begins.</summary>
    private static bool IsJson(FileStream stream, string path, int maxRowBytes)
    {
        var textStart = TextStart(stream);
        var lines = new LineReader(stream, maxRowBytes);
        ReadOnlyMemory<byte> line;
        bool isTooLong;
        do
        {
            if (!lines.TryRead(out line, out isTooLong))
            {
                throw new DocumentException("GA2002", path, "the file is empty", "Give a file with one row a line.");
            }
        }
        while (!isTooLong && IsBlank(line.Span));

        var isJson = IsJson(line, Path.GetExtension(path), lines);
        stream.Position = textStart;
        return isJson;
    }

    private static bool IsJson(ReadOnlyMemory<byte> firstLine, string extension, LineReader lines)
    {
        var isLines = LineExtensions.Contains(extension, StringComparer.OrdinalIgnoreCase);
        if (firstLine.Span.TrimStart(" \t\r"u8) is [(byte)'[', ..])
        {
            return true;
        }

        try
        {
            using var first = JsonDocument.Parse(firstLine);
            // One line that holds all rows is JSON; one line that is a row is JSON Lines.
            return first.RootElement.ValueKind == JsonValueKind.Object && RowsIn(first.RootElement) is not null && !HasMoreLines(lines);
        }
        catch (JsonException)
        {
            return !isLines && firstLine.Span.TrimStart(" \t\r"u8) is [(byte)'{', ..] && extension.Equals(".json", StringComparison.OrdinalIgnoreCase);
        }
    }

    private static bool HasMoreLines(LineReader lines)
    {
        while (lines.TryRead(out var line, out var isTooLong))
        {
            if (isTooLong || !IsBlank(line.Span))
            {
                return true;
            }
        }

        return false;
    }

    private static void ReadLines(FileStream stream, DocumentReaderOptions options, DocumentCollector rows, CancellationToken cancellationToken)
    {
        var lines = new LineReader(stream, options.MaxRowBytes);
        while (!rows.IsFull && lines.TryRead(out var line, out var isTooLong))
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (isTooLong)
            {
                rows.Reject(lines.Line, $"the line has more than {options.MaxRowBytes} bytes");
            }
            else if (!IsBlank(line.Span))
            {
                ReadLine(line, lines.Line, rows);
            }
        }
    }

    private static void ReadLine(ReadOnlyMemory<byte> line, int number, DocumentCollector rows)
    {
        if (!Utf8.IsValid(line.Span))
        {
            rows.Reject(number, "the line is not UTF-8");
            return;
        }

        try
        {
            using var row = JsonDocument.Parse(line);
            rows.Add(row.RootElement, number);
        }
        catch (JsonException failure)
        {
            rows.Reject(number, $"the line is not JSON ({Reason(failure)})");
        }
    }

    private static void ReadJson(FileStream stream, string path, DocumentReaderOptions options, DocumentCollector rows, CancellationToken cancellationToken)
    {
        if (stream.Length - stream.Position > options.MaxJsonBytes)
        {
            throw new DocumentException("GA2006", path, $"the JSON file has {stream.Length} bytes, more than the {options.MaxJsonBytes} that are read whole", "Convert it to JSON Lines, one row a line.");
        }

        var bytes = new byte[stream.Length - stream.Position];
        stream.ReadExactly(bytes);
        if (!Utf8.IsValid(bytes))
        {
            throw new DocumentException("GA2003", path, "the file is not UTF-8", "Save it as UTF-8.");
        }

        try
        {
            using var json = JsonDocument.Parse(bytes);
            var root = json.RootElement;
            var list = root.ValueKind == JsonValueKind.Array ? root : RowsIn(root);
            if (list is null)
            {
                rows.Add(root, 1);
                return;
            }

            var number = 0;
            foreach (var row in list.Value.EnumerateArray())
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (rows.IsFull)
                {
                    break;
                }

                rows.Add(row, ++number);
            }
        }
        catch (JsonException failure)
        {
            throw new DocumentException("GA2003", path, $"the file is not JSON ({Reason(failure)})", "Correct the file, or save it as JSON Lines, where a bad row costs only itself.", failure);
        }
    }

    /// <summary>The list of rows in an object that is no row itself.</summary>
    private static JsonElement? RowsIn(JsonElement root)
    {
        if (root.ValueKind == JsonValueKind.Object)
        {
            foreach (var key in RowKeys)
            {
                if (root.TryGetProperty(key, out var list) && list.ValueKind == JsonValueKind.Array && list.GetArrayLength() > 0 && list[0].ValueKind == JsonValueKind.Object)
                {
                    return list;
                }
            }
        }

        return null;
    }

    /// <summary>Behind the byte order mark, where there is one.</summary>
    private static long TextStart(FileStream stream)
    {
        Span<byte> head = stackalloc byte[3];
        var read = stream.ReadAtLeast(head, 3, throwOnEndOfStream: false);
        return stream.Position = head[..read].SequenceEqual("\uFEFF"u8) ? 3 : 0;
    }

    private static bool IsBlank(ReadOnlySpan<byte> line) => line.IndexOfAnyExcept(" \t\r"u8) < 0;

    private static string Reason(JsonException failure) => failure.Message.Split(" LineNumber:")[0].TrimEnd('.');
}
