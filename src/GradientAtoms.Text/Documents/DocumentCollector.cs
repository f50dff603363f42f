using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace GradientAtoms.Text.Documents;

/// <summary>
/// Makes documents of the rows of a data set and hands them on: recognises the layout, keeps ids unique, finds exact duplicates, lists
/// what is rejected. Of a document that has gone by it keeps the id and a hash.
/// </summary>
internal sealed partial class DocumentCollector : IRowSink
{
    private readonly string path;
    private readonly DocumentReaderOptions options;
    private readonly RowMap map;
    private readonly RowParser parser;
    private readonly Action<Document, string?> each;
    private readonly bool namesFiles;
    private readonly List<RejectedRow> rejected = [];
    private readonly HashSet<string> ids = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> renamed = new(StringComparer.Ordinal);
    private readonly Dictionary<UInt128, string> firstOf = [];
    private DocumentShape? shape;
    private string file;

    /// <summary>Makes one.</summary>
    /// <param name="path">What is read.</param>
    /// <param name="options">Side and limit.</param>
    /// <param name="map">Which field is which.</param>
    /// <param name="each">Gets each document, and the id of the first that says the same where it is not the first itself.</param>
    public DocumentCollector(string path, DocumentReaderOptions options, RowMap map, Action<Document, string?> each)
    {
        this.path = path;
        this.options = options;
        this.map = map;
        this.each = each;
        file = path;

        // Where a set has several files and rows do not say what they come from, the file does; the parts that a set was cut into for its size do not.
        var files = DataFolder.FilesOf(path, options.Split);
        namesFiles = files.Count > 1 && !files.Any(part => PartOfSet().IsMatch(part.Path));
        parser = new(map, options.Side);
        shape = map.Shape;
    }

    /// <summary>True where the limit is reached.</summary>
    public bool IsFull => options.Limit is { } limit && ids.Count >= limit;

    public void Begin(DataFile file, ReadOnlySpan<byte> header) => this.file = file.Path;

    public void Bad(int line, string reason, ReadOnlySpan<byte> raw) => Reject(line, reason);

    public void Row(int line, JsonElement row, ReadOnlySpan<byte> raw)
    {
        if (Parse(line, row) is not { } document)
        {
            return;
        }

        ids.Add(document.Id);
        var content = Fingerprint(document);
        var isCopy = !firstOf.TryAdd(content, document.Id);
        each(namesFiles && document.Source is null ? document with { Source = Path.GetFileName(file) } : document, isCopy ? firstOf[content] : null);
    }

    /// <summary>What was read, when all rows have come by.</summary>
    /// <exception cref="DocumentException">GA2004: no row can be used.</exception>
    public DocumentCounts Finish()
    {
        if (ids.Count == 0)
        {
            var first = rejected.Count > 0 ? $"none of its {rejected.Count} rows can be used (row {rejected[0].Line}: {rejected[0].Reason})" : "it has no rows";
            throw new DocumentException("GA2004", path, first,
                "Rows need messages, conversations, prompt and completion, instruction and output, chosen and rejected, or text; --map tells which field is which, as in --map prompt=question,completion=answer.");
        }

        return new(shape!.Value, ids.Count, rejected) { RenamedIds = renamed };
    }

    // Null where the row cannot be used: then it is listed.
    private Document? Parse(int line, JsonElement row)
    {
        try
        {
            row = Unwrap(row);
            if (row.ValueKind != JsonValueKind.Object)
            {
                throw new RowFault($"the row is {RowParser.Kind(row)}, not an object");
            }

            var found = map.ShapeOf(row) ?? throw new RowFault($"none of the known layouts: the row has {Names(row)}");
            if (shape is { } known && found != known)
            {
                throw new RowFault($"the row has {RowMap.Describe(found)}, and the file is read as {RowMap.Describe(known)}");
            }

            var document = WithUniqueId(parser.Parse(row, found, line));
            shape = found;
            return document;
        }
        catch (RowFault fault)
        {
            Reject(line, fault.Message);
        }
        catch (InvalidOperationException)
        {
            // The JSON reader's answer to an escape such as \ud800 alone, which no text can hold.
            Reject(line, "the row holds half of a surrogate pair");
        }

        return null;
    }

    [GeneratedRegex("[0-9]+-of-[0-9]+", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex PartOfSet();

    private void Reject(int line, string reason) => rejected.Add(new(file, line, reason));

    /// <summary>The dataset viewer wraps each row: <c>{"row_idx": 0, "row": {…}}</c>.</summary>
    private static JsonElement Unwrap(JsonElement row) =>
        row.ValueKind == JsonValueKind.Object && row.TryGetProperty("row_idx", out _) && row.TryGetProperty("row", out var inner) && inner.ValueKind == JsonValueKind.Object ? inner : row;

    private static string Names(JsonElement row)
    {
        var names = row.EnumerateObject().Take(8).Select(property => $"'{property.Name}'").ToList();
        return names.Count == 0 ? "no fields" : string.Join(", ", names);
    }

    private Document WithUniqueId(Document document)
    {
        var id = document.Id;
        while (ids.Contains(id))
        {
            id = $"{id}@{document.Line.ToString(CultureInfo.InvariantCulture)}";
        }

        if (id == document.Id)
        {
            return document;
        }

        renamed[id] = document.Id;
        return document with { Id = id };
    }

    /// <summary>The same for documents that say the same, whatever their ids: half of a SHA-256.</summary>
    private static UInt128 Fingerprint(Document document)
    {
        var content = new StringBuilder();
        Append(content, document.Text);
        Append(content, document.Tools);
        foreach (var message in document.Messages)
        {
            Append(content, message.Role);
            Append(content, message.Content);
            Append(content, message.Train);
            Append(content, message.Extra);
        }

        return BinaryPrimitives.ReadUInt128BigEndian(SHA256.HashData(Encoding.Unicode.GetBytes(content.ToString())));
    }

    /// <summary>A text for a value that no other value has: lengths stand before what they measure.</summary>
    private static void Append(StringBuilder content, object? value)
    {
        switch (value)
        {
            case string text: content.Append('s').Append(text.Length).Append(':').Append(text); break;
            case IReadOnlyDictionary<string, object?> map:
                content.Append('m').Append(map.Count).Append(':');
                foreach (var (key, item) in map)
                {
                    Append(content, key);
                    Append(content, item);
                }

                break;
            case IReadOnlyList<object?> list:
                content.Append('l').Append(list.Count).Append(':');
                foreach (var item in list)
                {
                    Append(content, item);
                }

                break;
            default:
                content.Append(CultureInfo.InvariantCulture, $"v{value?.GetType().Name}:{value};");
                break;
        }
    }
}
