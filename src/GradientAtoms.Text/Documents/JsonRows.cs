using System.Text.Json;
using System.Text.Unicode;

namespace GradientAtoms.Text.Documents;

/// <summary>Reads JSON Lines line by line, and JSON with an array of rows whole.</summary>
internal static class JsonRows
{
    /// <summary>Keys under which JSON objects keep their rows.</summary>
    private static readonly string[] RowKeys = ["data", "rows", "train", "examples", "documents", "items"];

    private static readonly string[] LineExtensions = [".jsonl", ".ndjson"];

    /// <summary>Reads a file.</summary>
    public static void Read(DataFile file, DocumentReaderOptions options, FileRows rows)
    {
        bool isJson;
        using (var head = file.Open())
        {
            isJson = IsJson(head, file, options.MaxRowBytes);
        }

        using var stream = file.Open();
        rows.Begin();
        if (isJson)
        {
            ReadJson(stream, file.Path, options, rows);
        }
        else
        {
            ReadLines(stream, options, rows);
        }
    }

    /// <summary>Whether a file holds one JSON value rather than one a line.</summary>
    public static bool IsJson(DataFile file, int maxRowBytes)
    {
        using var head = file.Open();
        return IsJson(head, file, maxRowBytes);
    }

    /// <summary>A line without a byte order mark.</summary>
    public static ReadOnlyMemory<byte> WithoutMark(ReadOnlyMemory<byte> line, int number) =>
        number == 1 && line.Span.StartsWith("\uFEFF"u8) ? line[3..] : line;

    private static bool IsJson(Stream stream, DataFile file, int maxRowBytes)
    {
        var lines = new LineReader(stream, maxRowBytes);
        ReadOnlyMemory<byte> line;
        bool isTooLong;
        do
        {
            if (!lines.TryRead(out line, out isTooLong))
            {
                throw new DocumentException("GA2002", file.Path, "the file is empty", "Give a file with one row a line.");
            }

            line = WithoutMark(line, lines.Line);
        }
        while (!isTooLong && IsBlank(line.Span));

        var isLines = LineExtensions.Contains(file.Extension, StringComparer.OrdinalIgnoreCase);
        if (line.Span.TrimStart(" \t\r"u8) is [(byte)'[', ..])
        {
            return true;
        }

        try
        {
            using var first = JsonDocument.Parse(line);
            // One line that holds all rows is JSON; one line that is a row is JSON Lines.
            return first.RootElement.ValueKind == JsonValueKind.Object && RowsIn(first.RootElement) is not null && !HasMoreLines(lines);
        }
        catch (JsonException)
        {
            return !isLines && line.Span.TrimStart(" \t\r"u8) is [(byte)'{', ..] && file.Extension.Equals(".json", StringComparison.OrdinalIgnoreCase);
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

    private static void ReadLines(Stream stream, DocumentReaderOptions options, FileRows rows)
    {
        var lines = new LineReader(stream, options.MaxRowBytes);
        while (!rows.IsFull && lines.TryRead(out var line, out var isTooLong))
        {
            line = WithoutMark(line, lines.Line);
            if (isTooLong)
            {
                rows.Bad(lines.Line, $"the line has more than {options.MaxRowBytes} bytes", default);
            }
            else if (!IsBlank(line.Span))
            {
                ReadLine(line, WithoutMark(lines.Raw, lines.Line).Span, lines.Line, rows);
            }
        }
    }

    private static void ReadLine(ReadOnlyMemory<byte> line, ReadOnlySpan<byte> raw, int number, FileRows rows)
    {
        if (!Utf8.IsValid(line.Span))
        {
            rows.Bad(number, "the line is not UTF-8", raw);
            return;
        }

        JsonDocument row;
        try
        {
            row = JsonDocument.Parse(line);
        }
        catch (JsonException failure)
        {
            rows.Bad(number, $"the line is not JSON ({Reason(failure)})", raw);
            return;
        }

        using (row)
        {
            rows.Row(number, row.RootElement, raw);
        }
    }

    private static void ReadJson(Stream stream, string path, DocumentReaderOptions options, FileRows rows)
    {
        var bytes = ReadWhole(stream, path, options.MaxJsonBytes);
        if (!Utf8.IsValid(bytes.Span))
        {
            throw new DocumentException("GA2003", path, "the file is not UTF-8", "Save it as UTF-8.");
        }

        JsonDocument json;
        try
        {
            json = JsonDocument.Parse(bytes);
        }
        catch (JsonException failure)
        {
            throw new DocumentException("GA2003", path, $"the file is not JSON ({Reason(failure)})", "Correct the file, or save it as JSON Lines, where a bad row costs only itself.", failure);
        }

        using (json)
        {
            var root = json.RootElement;
            var list = root.ValueKind == JsonValueKind.Array ? root : RowsIn(root);
            if (list is null)
            {
                rows.Row(1, root, System.Runtime.InteropServices.JsonMarshal.GetRawUtf8Value(root));
                return;
            }

            var number = 0;
            foreach (var row in list.Value.EnumerateArray())
            {
                if (rows.IsFull)
                {
                    break;
                }

                rows.Row(++number, row, System.Runtime.InteropServices.JsonMarshal.GetRawUtf8Value(row));
            }
        }
    }

    private static ReadOnlyMemory<byte> ReadWhole(Stream stream, string path, int most)
    {
        using var content = new MemoryStream(stream.CanSeek ? (int)Math.Min(stream.Length + 1, most) : 0);
        var buffer = new byte[64 * 1024];
        for (int read; (read = stream.Read(buffer)) > 0;)
        {
            if (content.Length + read > most)
            {
                throw new DocumentException("GA2006", path, $"the JSON file has more than the {most} bytes that are read whole", "Convert it to JSON Lines, one row a line.");
            }

            content.Write(buffer, 0, read);
        }

        return WithoutMark(content.GetBuffer().AsMemory(0, (int)content.Length), 1);
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

    private static bool IsBlank(ReadOnlySpan<byte> line) => line.IndexOfAnyExcept(" \t\r"u8) < 0;

    private static string Reason(JsonException failure) => failure.Message.Split(" LineNumber:")[0].TrimEnd('.');
}
