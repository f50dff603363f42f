using System.Text.Json.Nodes;
using GradientAtoms.Runs.Files;

namespace GradientAtoms.Runs.Stages;

/// <summary>Says in words how two sets of options differ.</summary>
internal static class OptionChanges
{
    public static IReadOnlyList<string> Between(JsonNode? before, JsonNode? now)
    {
        var changes = new List<string>();
        Compare("", before, now, changes);
        return changes;
    }

    private static void Compare(string name, JsonNode? before, JsonNode? now, List<string> changes)
    {
        if (before is JsonObject left && now is JsonObject right)
        {
            foreach (var key in left.Select(pair => pair.Key).Union(right.Select(pair => pair.Key), StringComparer.Ordinal).Order(StringComparer.Ordinal))
            {
                Compare(name.Length == 0 ? key : $"{name}.{key}", left[key], right[key], changes);
            }
        }
        else if (RunJson.Canonical(before) != RunJson.Canonical(now))
        {
            changes.Add($"{name} {Show(before)} -> {Show(now)}");
        }
    }

    private static string Show(JsonNode? value)
    {
        var text = value is null ? "none" : value is JsonValue single && single.TryGetValue(out string? words) ? words : RunJson.Canonical(value);
        return text.Length > 60 ? text[..57] + "..." : text;
    }
}
