using System.Globalization;
using System.Text;

namespace GradientAtoms.Atoms;

/// <summary>Words that set groups of documents apart from all others.</summary>
public static class Keywords
{
    /// <summary>
    /// Finds each group's words by class-based tf-idf on documents, not occurrences, so that one long document does not speak for
    /// all: (share of the group's documents that have the word) · ln((N + 1) / (documents that have it + 1)). Words of every
    /// document weigh nothing, so no list of stop words, of whatever language, is needed.
    /// </summary>
    /// <param name="texts"><c>[N]</c>.</param>
    /// <param name="groups">The documents of each group, as rows.</param>
    /// <param name="count">Words a group, at most.</param>
    /// <returns>The words of each group, the most telling first.</returns>
    public static IReadOnlyList<IReadOnlyList<string>> Find(IReadOnlyList<string> texts, IReadOnlyList<int[]> groups, int count = 8)
    {
        var words = texts.Select(text => Words(text).Distinct(StringComparer.Ordinal).ToArray()).ToArray();
        var frequencies = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var document in words)
        {
            foreach (var word in document)
                frequencies[word] = frequencies.GetValueOrDefault(word) + 1;
        }

        return [.. groups.Select(group => Best(group, words, frequencies, count))];
    }

    /// <summary>
    /// The words of a text, lower-cased: runs of letters, marks and digits with apostrophes inside, at least two characters long
    /// and not of digits only. Ideographs, written without spaces, go in pairs.
    /// </summary>
    internal static IEnumerable<string> Words(string text)
    {
        var word = new StringBuilder();
        Rune? ideograph = null;
        foreach (var rune in text.EnumerateRunes())
        {
            if (IsIdeograph(rune))
            {
                if (IsWord(word))
                    yield return Take(word);
                word.Clear();
                if (ideograph is { } previous)
                    yield return $"{previous}{rune}";
                ideograph = rune;
                continue;
            }

            ideograph = null;
            if (Rune.IsLetterOrDigit(rune) || (word.Length > 0 && IsInside(rune)))
            {
                word.Append(Rune.ToLowerInvariant(rune).ToString());
                continue;
            }

            if (IsWord(word))
                yield return Take(word);
            word.Clear();
        }

        if (IsWord(word))
            yield return Take(word);
    }

    private static List<string> Best(int[] group, string[][] words, Dictionary<string, int> frequencies, int count)
    {
        var inside = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var document in group)
        {
            foreach (var word in words[document])
                inside[word] = inside.GetValueOrDefault(word) + 1;
        }

        // A word of one document is that document's, not the group's.
        var least = group.Length > 1 ? 2 : 1;
        return [.. inside
            .Where(pair => pair.Value >= least && (long)pair.Value * words.Length > (long)frequencies[pair.Key] * group.Length)
            .Select(pair => (Word: pair.Key, Score: (double)pair.Value / group.Length * Math.Log((words.Length + 1d) / (frequencies[pair.Key] + 1d))))
            .OrderByDescending(pair => pair.Score)
            .ThenBy(pair => pair.Word, StringComparer.Ordinal)
            .Take(count)
            .Select(pair => pair.Word)];
    }

    private static bool IsInside(Rune rune) =>
        rune.Value is '\'' or 0x2019 || Rune.GetUnicodeCategory(rune) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark;

    private static bool IsIdeograph(Rune rune) =>
        rune.Value is (>= 0x3040 and <= 0x30FF) or (>= 0x3400 and <= 0x4DBF) or (>= 0x4E00 and <= 0x9FFF) or (>= 0x20000 and <= 0x323AF);

    private static bool IsWord(StringBuilder word)
    {
        var letters = 0;
        for (var i = 0; i < word.Length; i++)
            letters += char.IsDigit(word[i]) || word[i] is '\'' or '\u2019' ? 0 : 1;
        return letters > 0 && word.Length > 1;
    }

    private static string Take(StringBuilder word) => word.ToString().TrimEnd('\'', '\u2019');
}
