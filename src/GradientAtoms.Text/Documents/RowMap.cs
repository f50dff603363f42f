using System.Text.Json;

namespace GradientAtoms.Text.Documents;

/// <summary>Where a row keeps the fields that we know by name, and what layout a row has.</summary>
internal sealed class RowMap
{
    private static readonly (string Field, DocumentShape Shape)[] ShapeFields =
    [
        ("messages", DocumentShape.Messages), ("conversations", DocumentShape.Conversations),
        ("chosen", DocumentShape.Preference), ("rejected", DocumentShape.Preference),
        ("completion", DocumentShape.PromptCompletion), ("instruction", DocumentShape.Instruction),
        ("output", DocumentShape.Instruction), ("text", DocumentShape.Text),
    ];

    private static readonly HashSet<string> Names = new(ShapeFields.Select(field => field.Field).Concat(["prompt", "input", "id", "system", "tools", "source"]), StringComparer.Ordinal);

    private const int MostSourceLength = 100;

    // Where data sets say what a row comes from, where no map says it.
    private static readonly string[] SourceFields = ["source", "dataset", "data_source", "subset"];
    private static readonly string[] MetadataFields = ["metadata", "meta"];

    private readonly IReadOnlyDictionary<string, string> map;

    public RowMap(IReadOnlyDictionary<string, string> map)
    {
        this.map = map;
        foreach (var name in map.Keys)
        {
            if (!Names.Contains(name))
            {
                throw Bad($"'{name}' is no field of ours", $"Known are {string.Join(", ", Names.Order(StringComparer.Ordinal))}.");
            }
        }

        var shapes = ShapeFields.Where(field => map.ContainsKey(field.Field)).Select(field => field.Shape).Distinct().ToList();
        if (shapes.Count > 1)
        {
            throw Bad($"the fields of {Describe(shapes[0])} and of {Describe(shapes[1])} do not belong to one row", "Map the fields of one layout only.");
        }

        // A mapped prompt alone still leaves two layouts: pairs, and prompt with completion; the row decides.
        Shape = shapes.Count == 1 ? shapes[0] : null;
    }

    /// <summary>The layout that the map itself tells; null where the rows decide.</summary>
    public DocumentShape? Shape { get; }

    /// <summary>The fields of a row that any of our names can be in: mapped, unmapped, and those of the viewer's wrapping.</summary>
    public IReadOnlySet<string> Columns => Names.Concat(map.Values).Concat(map.Values.Select(path => path.Split('.')[0])).Concat(SourceFields).Concat(["row", "row_idx"]).ToHashSet(StringComparer.Ordinal);

    public static string Describe(DocumentShape shape) => shape switch
    {
        DocumentShape.Messages => "'messages'",
        DocumentShape.Conversations => "'conversations'",
        DocumentShape.Preference => "'chosen' and 'rejected'",
        DocumentShape.PromptCompletion => "'prompt' and 'completion'",
        DocumentShape.Instruction => "'instruction' and 'output'",
        _ => "'text'",
    };

    /// <summary>The row's field for one of our names, as errors should call it.</summary>
    public string NameOf(string field) => map.GetValueOrDefault(field, field);

    /// <summary>The row's value for one of our names; false where it is absent or null.</summary>
    public bool TryGet(JsonElement row, string field, out JsonElement value)
    {
        var name = NameOf(field);
        if (TryGetProperty(row, name, out value))
        {
            return true;
        }

        // A key may itself hold a dot; only where it does not is a dot a step down.
        var at = row;
        foreach (var step in name.Split('.'))
        {
            if (!TryGetProperty(at, step, out at))
            {
                return false;
            }
        }

        value = at;
        return true;
    }

    /// <summary>What a row says that it comes from; null where it says nothing short.</summary>
    public string? SourceOf(JsonElement row)
    {
        IEnumerable<JsonElement> found = map.ContainsKey("source")
            ? TryGet(row, "source", out var mapped) ? [mapped] : []
            : SourceFields.Select(name => Property(row, name)).Concat(
                from outer in MetadataFields
                from inner in SourceFields
                select Property(Property(row, outer), inner));
        return found.Select(Short).FirstOrDefault(text => text is not null);

        static JsonElement Property(JsonElement of, string name) => TryGetProperty(of, name, out var value) ? value : default;

        // A passage that an answer is drawn from is called a source too: a name is one short line.
        static string? Short(JsonElement value) => value.ValueKind switch
        {
            JsonValueKind.String => value.GetString() is { Length: > 0 and <= MostSourceLength } text && !text.AsSpan().ContainsAny('\r', '\n') ? text : null,
            JsonValueKind.Number => value.GetRawText() is { Length: <= MostSourceLength } number ? number : null,
            _ => null,
        };
    }

    /// <summary>The layout of a row; null where it has none that we know.</summary>
    public DocumentShape? ShapeOf(JsonElement row)
    {
        if (Shape is { } mapped)
        {
            return mapped;
        }

        return Has("chosen") && Has("rejected") ? DocumentShape.Preference
            : Has("messages") ? DocumentShape.Messages
            : Has("conversations") ? DocumentShape.Conversations
            : Has("prompt") && Has("completion") ? DocumentShape.PromptCompletion
            : Has("instruction") && Has("output") ? DocumentShape.Instruction
            : Has("text") ? DocumentShape.Text
            : null;

        bool Has(string field) => TryGet(row, field, out _);
    }

    private static bool TryGetProperty(JsonElement row, string name, out JsonElement value)
    {
        value = default;
        return row.ValueKind == JsonValueKind.Object && row.TryGetProperty(name, out value) && value.ValueKind != JsonValueKind.Null;
    }

    private static DocumentException Bad(string problem, string remedy) => new("GA2005", "--map", problem, remedy);
}
