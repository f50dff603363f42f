using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace GradientAtoms.Text.Documents;

/// <summary>Reads CSV files: the first record names the fields, every value is a string, and an empty one without quotes is none.</summary>
internal static class CsvRows
{
    /// <summary>Reads a file.</summary>
    public static void Read(DataFile file, DocumentReaderOptions options, FileRows rows)
    {
        byte delimiter;
        using (var head = file.Open())
        {
            delimiter = DelimiterOf(file, head, options.MaxRowBytes);
        }

        using var stream = file.Open();
        var reader = new CsvReader(stream, delimiter, options.MaxRowBytes);
        var names = ReadHeader(reader, file.Path);
        rows.Begin(reader.Raw);
        var json = new ArrayBufferWriter<byte>();
        while (!rows.IsFull && reader.TryRead())
        {
            if (Problem(reader, names.Count, options.MaxRowBytes) is { } problem)
            {
                rows.Bad(reader.Line, problem, reader.IsTooLong ? default : reader.Raw);
                continue;
            }

            using var row = ToJson(reader, names, json);
            rows.Row(reader.Line, row.RootElement, reader.Raw);
        }
    }

    /// <summary>Tabs for .tsv; else what the first line has most of outside of quotes: commas, semicolons or tabs.</summary>
    private static byte DelimiterOf(DataFile file, Stream head, int maxRowBytes)
    {
        if (file.Extension.Equals(".tsv", StringComparison.OrdinalIgnoreCase))
        {
            return (byte)'\t';
        }

        var first = new CsvReader(head, 0, Math.Min(maxRowBytes, 1024 * 1024)); // no text has a zero byte between its fields
        if (!first.TryRead())
        {
            throw new DocumentException("GA2002", file.Path, "the file is empty", "Give a file whose first line names the fields.");
        }

        var (inQuotes, counts) = (false, new int[128]);
        foreach (var value in first.Raw)
        {
            inQuotes ^= value == '"';
            if (!inQuotes && value < 128)
            {
                counts[value]++;
            }
        }

        return counts[','] >= counts[';'] && counts[','] >= counts['\t'] ? (byte)',' : counts[';'] >= counts['\t'] ? (byte)';' : (byte)'\t';
    }

    private static List<string> ReadHeader(CsvReader reader, string path)
    {
        if (!reader.TryRead())
        {
            throw new DocumentException("GA2002", path, "the file is empty", "Give a file whose first line names the fields.");
        }

        var names = new List<string>();
        for (var i = 0; i < reader.Count; i++)
        {
            // A column without a name, such as the row numbers that pandas writes, is no field of ours.
            names.Add(
                !Utf8.IsValid(reader.Field(i)) ? throw Bad("it is not UTF-8")
                : reader.Field(i).Contains((byte)0) ? throw Bad("it holds zero bytes: the file is damaged, or is UTF-16")
                : Encoding.UTF8.GetString(reader.Field(i)).Trim());
        }

        return reader.IsOpen || reader.IsTooLong ? throw Bad("it never ends")
            : names.TrueForAll(name => name.Length == 0) ? throw Bad("it names no field")
            : names.Where(name => name.Length > 0).GroupBy(name => name, StringComparer.Ordinal).FirstOrDefault(group => group.Count() > 1) is { } twice ? throw Bad($"it names '{twice.Key}' twice")
            : names;

        DocumentException Bad(string what) => new("GA2007", path, $"the first line of a CSV file names the fields, and {what}", "Give the file a first line such as prompt,completion.");
    }

    private static string? Problem(CsvReader reader, int expected, int maxRowBytes)
    {
        if (reader.IsOpen)
        {
            return "a quote is opened and never closed";
        }

        if (reader.IsTooLong)
        {
            return $"the row has more than {maxRowBytes} bytes";
        }

        if (reader.Count != expected)
        {
            return $"the row has {reader.Count} fields, and the first line names {expected}";
        }

        // RFC 4180 has no zero byte in a field; what has one is damaged, or has another encoding.
        return !Utf8.IsValid(reader.Raw) ? "the row is not UTF-8" : reader.Raw.Contains((byte)0) ? "the row holds a zero byte" : null;
    }

    private static JsonDocument ToJson(CsvReader reader, List<string> names, ArrayBufferWriter<byte> json)
    {
        json.ResetWrittenCount();
        using (var writer = new Utf8JsonWriter(json))
        {
            writer.WriteStartObject();
            for (var i = 0; i < names.Count; i++)
            {
                if (names[i].Length > 0 && (reader.Field(i).Length > 0 || reader.IsQuoted(i)))
                {
                    writer.WriteString(names[i], reader.Field(i));
                }
            }

            writer.WriteEndObject();
        }

        return JsonDocument.Parse(json.WrittenMemory);
    }
}
