using System.Text;

namespace GradientAtoms.Text.Documents;

/// <summary>
/// The front matter of a data set's <c>README.md</c>: only <c>configs</c> with <c>config_name</c>, <c>data_dir</c> and
/// <c>data_files</c> (a path, a list of paths, or splits with their paths), in the indented form of YAML that the Hub writes.
/// </summary>
internal static class DataCard
{
    private const int MostBytes = 1024 * 1024;

    /// <summary>The patterns of a split's files; null where the card says nothing of files.</summary>
    /// <param name="folder">The data set.</param>
    /// <param name="split">The split.</param>
    /// <exception cref="DocumentException">GA2010: several configurations and none called default; or the split is not among those named.</exception>
    public static IReadOnlyList<string>? FilesOf(string folder, string split)
    {
        var path = Path.Combine(folder, "README.md");
        if (!File.Exists(path) || new FileInfo(path).Length > MostBytes)
        {
            return null;
        }

        var configurations = Read(File.ReadLines(path, Encoding.UTF8)).Where(one => one.Splits.Count > 0).ToList();
        if (configurations.Count == 0)
        {
            return null;
        }

        var chosen = configurations.Count == 1 ? configurations[0] : configurations.Find(one => one.Name == "default" || one.IsDefault) ?? throw new DocumentException(
            "GA2010", folder, $"the data set has the configurations {string.Join(", ", configurations.Select(one => one.Name))}, and none is the default", "Name the folder or the file of one of them.");
        return chosen.Splits.TryGetValue(split, out var patterns) ? patterns : throw new DocumentException(
            "GA2010", folder, $"README.md names the splits {string.Join(", ", chosen.Splits.Keys)}, not '{split}'", "Choose with --split.");
    }

    private static List<Configuration> Read(IEnumerable<string> lines)
    {
        var result = new List<Configuration>();
        Configuration? current = null;
        var (isFirst, isInside, isInFiles, split) = (true, false, false, "train");
        foreach (var line in lines)
        {
            var text = line.Trim();
            if (isFirst ? text != "---" : text == "---")
            {
                break;
            }

            isFirst = false;
            if (text.Length == 0 || text.StartsWith('#'))
            {
                continue;
            }

            if (!char.IsWhiteSpace(line[0]) && !line.StartsWith('-'))
            {
                isInside = text == "configs:";
                continue;
            }

            if (!isInside)
            {
                continue;
            }

            var isItem = text.StartsWith("- ", StringComparison.Ordinal);
            text = isItem ? text[2..].Trim() : text;
            var colon = text.IndexOf(": ", StringComparison.Ordinal);
            var (key, value) = colon > 0 ? (text[..colon], Unquoted(text[(colon + 2)..])) : text.EndsWith(':') ? (text[..^1], "") : ("", Unquoted(text));
            switch (key)
            {
                case "config_name":
                    result.Add(current = new Configuration(value));
                    (isInFiles, split) = (false, "train");
                    break;
                case "default" when current is not null:
                    current.IsDefault = value == "true";
                    break;
                case "data_dir" when current is not null:
                    current.Add("train", $"{value.TrimEnd('/')}/**");
                    break;
                case "data_files":
                    isInFiles = true;
                    current?.Add("train", value);
                    break;
                case "split":
                    split = value;
                    break;
                case "path":
                    current?.Add(split, value);
                    break;
                case "" when isInFiles && isItem:
                    current?.Add(split, value);
                    break;
            }
        }

        return result;
    }

    private static string Unquoted(string text) => text.Trim() is var trimmed && trimmed.Length >= 2 && trimmed[0] is '"' or '\'' && trimmed[^1] == trimmed[0] ? trimmed[1..^1] : text.Trim();

    private sealed class Configuration(string name)
    {
        public string Name { get; } = name;

        public bool IsDefault { get; set; }

        public Dictionary<string, List<string>> Splits { get; } = new(StringComparer.Ordinal);

        public void Add(string split, string pattern)
        {
            if (pattern.Length > 0)
            {
                (Splits.TryGetValue(split, out var patterns) ? patterns : Splits[split] = []).Add(pattern);
            }
        }
    }
}
