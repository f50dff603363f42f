using System.Globalization;
using System.Text;
using System.Text.Json;
using GradientAtoms.DictionaryLearning;

namespace GradientAtoms.Bench.Scoring;

/// <summary>Reads what is scored.</summary>
internal static class ScoringFiles
{
    /// <summary>Ids and tasks, in the order of the file.</summary>
    public static List<(string Id, string Task)> Labels(string path, int limit) =>
        [.. Lines(path, limit).Select(row => (row.GetProperty("id").GetString()!, row.GetProperty("task").GetString()!))];

    /// <summary>Ids and the whole text of each chat.</summary>
    public static List<(string Id, string Text)> Chats(string path, int limit) =>
        [.. Lines(path, limit).Select(row => (
            row.GetProperty("id").GetString()!,
            string.Join('\n', row.GetProperty("messages").EnumerateArray().Select(message => message.GetProperty("content").GetString()))))];

    /// <summary>A table with the columns <c>document,atom,code</c>; documents that are not named are passed over.</summary>
    public static SparseCodes Codes(string path, IReadOnlyList<string> documentIds)
    {
        var places = documentIds.Select((id, place) => (id, place)).ToDictionary(pair => pair.id, pair => pair.place, StringComparer.Ordinal);
        var atoms = new Dictionary<string, int>(StringComparer.Ordinal);
        var rows = documentIds.Select(_ => new SortedDictionary<int, float>()).ToArray();
        foreach (var fields in Table(path, "document", "atom", "code"))
        {
            atoms.TryAdd(fields[1], atoms.Count);
            if (places.TryGetValue(fields[0], out var place))
                rows[place][atoms[fields[1]]] = float.Parse(fields[2], CultureInfo.InvariantCulture);
        }

        var builder = new SparseCodes.Builder(atoms.Count);
        foreach (var row in rows)
        {
            foreach (var (atom, code) in row)
                builder.Add(atom, code);
            builder.EndDocument();
        }

        return builder.Build();
    }

    /// <summary>Some columns of a comma-separated table with a header.</summary>
    public static IEnumerable<string[]> Table(string path, params string[] columns)
    {
        int[]? places = null;
        foreach (var line in File.ReadLines(path).Where(line => line.Length > 0))
        {
            var fields = Fields(line);
            if (places is null)
            {
                places = [.. columns.Select(column => fields.IndexOf(column) is var place and >= 0 ? place : throw new FormatException($"{path} has no column {column}"))];
                continue;
            }

            yield return [.. places.Select(place => fields[place])];
        }
    }

    private static List<string> Fields(string line)
    {
        var fields = new List<string>();
        var field = new StringBuilder();
        var isQuoted = false;
        foreach (var character in line)
        {
            if (character == '"')
            {
                isQuoted = !isQuoted;
            }
            else if (character == ',' && !isQuoted)
            {
                fields.Add(field.ToString());
                field.Clear();
            }
            else
            {
                field.Append(character);
            }
        }

        fields.Add(field.ToString());
        return fields;
    }

    private static IEnumerable<JsonElement> Lines(string path, int limit)
    {
        foreach (var line in File.ReadLines(path).Where(line => line.Length > 0).Take(limit))
        {
            using var row = JsonDocument.Parse(line);
            yield return row.RootElement;
        }
    }
}
