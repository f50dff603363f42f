using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace GradientAtoms.Runs.Files;

/// <summary>How our JSON files are spelt: snake_case names, nulls absent, numbers that read back to the same bits.</summary>
public static class RunJson
{
    /// <summary>Indented, for files that people read.</summary>
    public static JsonSerializerOptions Indented { get; } = Make(indented: true);

    /// <summary>On one line, for journals and JSON Lines.</summary>
    public static JsonSerializerOptions Compact { get; } = Make(indented: false);

    /// <summary>A record as JSON, for a stage's options or notes; with names, only those properties (in snake_case).</summary>
    /// <param name="value">A record.</param>
    /// <param name="names">The properties that the stage depends on; empty: all.</param>
    /// <exception cref="ArgumentException">The record has no property of such a name.</exception>
    public static JsonObject Of(object value, params string[] names)
    {
        var all = (JsonObject)JsonSerializer.SerializeToNode(value, value.GetType(), WithNulls)!;
        if (names.Length == 0)
        {
            return all;
        }

        var some = new JsonObject();
        foreach (var name in names)
        {
            if (!all.TryGetPropertyValue(name, out var node))
            {
                throw new ArgumentException($"{value.GetType().Name} has no {name}", nameof(names));
            }

            some[name] = node?.DeepClone();
        }

        return some;
    }

    /// <summary>The same JSON with the keys of every object in ordinal order, on one line: what is hashed and compared.</summary>
    internal static string Canonical(JsonNode? node) => Sorted(node)?.ToJsonString(Compact) ?? "null";

    internal static JsonNode? Sorted(JsonNode? node) => node switch
    {
        JsonObject value => new JsonObject(value.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => KeyValuePair.Create(pair.Key, Sorted(pair.Value)))),
        JsonArray value => new JsonArray([.. value.Select(Sorted)]),
        _ => node?.DeepClone(),
    };

    private static JsonSerializerOptions WithNulls { get; } = new(Make(indented: false)) { DefaultIgnoreCondition = JsonIgnoreCondition.Never };

    private static JsonSerializerOptions Make(bool indented) => new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DictionaryKeyPolicy = null,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        WriteIndented = indented,
        NewLine = "\n",
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower) },
    };
}
