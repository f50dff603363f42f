using System.Text;
using System.Text.RegularExpressions;

namespace GradientAtoms.Text.Documents;

/// <summary>The data files of a folder as the Hub keeps data sets: which of them a split is.</summary>
/// <remarks>
/// Where the front matter of <c>README.md</c> has <c>configs</c>, its <c>data_files</c> say it. Else the files of the commonest
/// format count, and of these the ones whose path has the split's name as a word; where no path has the name of any split,
/// all are the training split.
/// </remarks>
internal static class DataFolder
{
    private const int MostFiles = 10_000;
    private const int DeepestFolder = 4;
    private const string Training = "train";

    private static readonly string[][] SplitWords = [["train", "training"], ["validation", "valid", "val", "dev"], ["test", "testing", "eval", "evaluation"]];
    private static readonly HashSet<string> NotData = new(StringComparer.OrdinalIgnoreCase) { "dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "package.json", "config.json", "tokenizer.json", "tokenizer_config.json", "adapter_config.json", "generation_config.json", "special_tokens_map.json" };

    /// <summary>The files that a path stands for: itself, or the split's files of a folder, in the order of their names.</summary>
    public static IReadOnlyList<DataFile> FilesOf(string path, string? split)
    {
        if (Directory.Exists(path))
        {
            return InFolder(path, split);
        }

        return path.Length == 0 || path.Contains('\0', StringComparison.Ordinal) || !File.Exists(path)
            ? throw new DocumentException("GA2001", path, "there is no such file", "Look at the path that --data names.")
            : [DataFile.Of(path)];
    }

    /// <summary>Whether a folder has data files.</summary>
    public static bool HasData(string folder) => Directory.Exists(folder) && Known(folder).Count > 0;

    private static List<DataFile> InFolder(string folder, string? split)
    {
        try
        {
            var known = Known(folder);
            if (known.Count == 0)
            {
                var arrow = Directory.EnumerateFiles(folder, "*.arrow").Any();
                throw new DocumentException(
                    "GA2010",
                    folder,
                    arrow ? "the folder holds Arrow files, as save_to_disk writes them, which are not read" : "the folder holds no data files",
                    arrow ? "Write it as Parquet: load_from_disk(FOLDER).to_parquet(FILE)." : "Name a folder with .parquet, .jsonl, .json or .csv files in it, or in its data folder.");
            }

            var wanted = split ?? Training;
            if (DataCard.FilesOf(folder, wanted) is { } patterns)
            {
                var chosen = known.Where(file => patterns.Any(pattern => Matches(Relative(folder, file), pattern))).ToList();
                return chosen.Count > 0 ? [.. chosen.Select(DataFile.Of)] : throw new DocumentException(
                    "GA2010", folder, $"README.md names {string.Join(", ", patterns)} for the split '{wanted}', and no file here is called so", "Fetch the whole data set, or name one file.");
            }

            var files = known.GroupBy(FormatName, StringComparer.Ordinal).OrderByDescending(group => group.Count()).ThenBy(group => group.Key, StringComparer.Ordinal).First().ToList();
            var ofSplit = files.Where(file => HasWord(Relative(folder, file), WordsOf(wanted))).ToList();
            if (ofSplit.Count > 0)
            {
                return [.. ofSplit.Select(DataFile.Of)];
            }

            var named = SplitWords.Where(words => files.Exists(file => HasWord(Relative(folder, file), words))).Select(words => words[0]).ToList();
            return named.Count == 0 && WordsOf(wanted)[0] == Training ? [.. files.Select(DataFile.Of)] : throw new DocumentException(
                "GA2010", folder, $"no file's name holds the split '{wanted}'{(named.Count > 0 ? $"; there are {string.Join(", ", named)}" : "")}", "Choose with --split, or name one file.");
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new DocumentException("GA2001", folder, $"the folder cannot be read ({failure.Message})", "Look at its permissions.", failure);
        }
    }

    private static List<string> Known(string folder)
    {
        var search = new EnumerationOptions { RecurseSubdirectories = true, MaxRecursionDepth = DeepestFolder, AttributesToSkip = default };
        return [.. Directory.EnumerateFiles(folder, "*", search)
            .Where(file => DataFile.IsKnown(file) && !NotData.Contains(Path.GetFileName(file)) && !Relative(folder, file).Split('/').Any(part => part.StartsWith('.')))
            .Take(MostFiles)
            .OrderBy(file => Relative(folder, file), StringComparer.Ordinal)];
    }

    private static string Relative(string folder, string file) => Path.GetRelativePath(folder, file).Replace('\\', '/');

    private static string FormatName(string file) => DataFile.Of(file) is { Format: DataFormat.Json } json ? json.Extension.ToUpperInvariant() : DataFile.Of(file).Format.ToString();

    private static string[] WordsOf(string split) => Array.Find(SplitWords, words => words.Contains(split, StringComparer.OrdinalIgnoreCase)) ?? [split];

    private static bool HasWord(string path, string[] words) => words.Any(word =>
        Regex.IsMatch(path, $"(^|[^A-Za-z0-9]){Regex.Escape(word)}($|[^A-Za-z])", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant | RegexOptions.NonBacktracking));

    /// <summary>Whether a path is what a pattern says: <c>*</c> within a folder, <c>**</c> over folders.</summary>
    private static bool Matches(string path, string pattern)
    {
        var expression = new StringBuilder("^");
        for (var i = 0; i < pattern.Length; i++)
        {
            if (pattern[i] == '*' && i + 1 < pattern.Length && pattern[i + 1] == '*')
            {
                i++;
                expression.Append(".*");
                if (i + 1 < pattern.Length && pattern[i + 1] == '/')
                {
                    i++; // also where no folder is in between
                }
            }
            else
            {
                expression.Append(pattern[i] switch { '*' => "[^/]*", '?' => "[^/]", var plain => Regex.Escape(plain.ToString()) });
            }
        }

        return Regex.IsMatch(path, expression.Append('$').ToString(), RegexOptions.CultureInvariant | RegexOptions.NonBacktracking);
    }
}
