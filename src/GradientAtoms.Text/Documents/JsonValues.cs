using System.Globalization;
using System.Numerics;
using System.Text.Json;

namespace GradientAtoms.Text.Documents;

/// <summary>Parsed JSON as plain values: dictionaries in file order, lists, strings, long, double, bool, null.</summary>
internal static class JsonValues
{
    public static object? From(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Object => FromObject(element),
        JsonValueKind.Array => element.EnumerateArray().Select(From).ToList(),
        JsonValueKind.String => element.GetString(),
        JsonValueKind.Number => FromNumber(element),
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => null,
    };

    private static OrderedDictionary<string, object?> FromObject(JsonElement element)
    {
        var result = new OrderedDictionary<string, object?>(StringComparer.Ordinal);
        foreach (var property in element.EnumerateObject())
        {
            result[property.Name] = From(property.Value); // a key that comes twice: the last one counts, as in Python
        }

        return result;
    }

    /// <summary>1 is a whole number and 1.0 is not, as in Python.</summary>
    private static object FromNumber(JsonElement element)
    {
        var text = element.GetRawText();
        if (text.AsSpan().IndexOfAny('.', 'e', 'E') >= 0)
        {
            return element.GetDouble();
        }

        return element.TryGetInt64(out var whole) ? whole : BigInteger.Parse(text, CultureInfo.InvariantCulture);
    }
}
