using System.Globalization;
using System.Text;

namespace GradientAtoms.Atoms;

/// <summary>The words of a group of documents, the most telling first.</summary>
/// <param name="All">Of prompts and answers together.</param>
/// <param name="Prompts">Of what is asked.</param>
/// <param name="Answers">Of what is answered.</param>
public sealed record GroupWords(IReadOnlyList<string> All, IReadOnlyList<string> Prompts, IReadOnlyList<string> Answers);

/// <summary>Words that set groups of documents apart from all others, and from each other.</summary>
public static class Keywords
{
    // Words of fewer than this many standard errors more in the group than elsewhere are chance.
    private const double Telling = 1.96;

    /// <summary>
    /// Finds each group's words. A word of prompts and the same word of answers are two. Words count by documents, not occurrences,
    /// so that one long document does not speak for all. Kept are those that the group has more often than all other documents by a
    /// log-odds ratio of 1.96 standard errors (Monroe, Colaresi and Quinn, 2008, with half a document added to each count); their order is by
    /// (share of the group's documents that have the word) · ln((N + 1) / (documents that have it + 1)) / (1 + sum of the shares of the
    /// other groups' documents that have it), so that what many groups share stands behind what one has alone. Words of every document
    /// weigh nothing, so no list of stop words, of whatever language, is needed.
    /// </summary>
    /// <param name="prompts"><c>[N]</c>.</param>
    /// <param name="answers"><c>[N]</c>.</param>
    /// <param name="groups">The documents of each group, as rows.</param>
    /// <param name="count">Words a list, at most.</param>
    /// <returns>The words of each group.</returns>
    public static IReadOnlyList<GroupWords> Find(IReadOnlyList<string> prompts, IReadOnlyList<string> answers, IReadOnlyList<int[]> groups, int count = 8)
    {
        if (prompts.Count != answers.Count)
            throw new ArgumentException($"{answers.Count} answers for {prompts.Count} prompts", nameof(answers));
        return Find(prompts, answers, prompts.Count, groups, count);
    }

    /// <summary>The same for texts that are read one after another, once: they need not be in memory together.</summary>
    /// <param name="prompts">N of them.</param>
    /// <param name="answers">N of them.</param>
    /// <param name="documents">N.</param>
    /// <param name="groups">The documents of each group, as rows.</param>
    /// <param name="count">Words a list, at most.</param>
    internal static IReadOnlyList<GroupWords> Find(IEnumerable<string> prompts, IEnumerable<string> answers, int documents, IReadOnlyList<int[]> groups, int count)
    {
        var (asked, answered) = (Scores(prompts, documents, groups), Scores(answers, documents, groups));
        return [.. asked.Zip(answered, (prompt, answer) => new GroupWords(
            Best(prompt.Concat(answer).GroupBy(pair => pair.Word, StringComparer.Ordinal).Select(word => (word.Key, word.Max(pair => pair.Score))), count),
            Best(prompt, count),
            Best(answer, count)))];
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

    private static string[] Best(IEnumerable<(string Word, double Score)> words, int count) =>
        [.. words.OrderByDescending(pair => pair.Score).ThenBy(pair => pair.Word, StringComparer.Ordinal).Take(count).Select(pair => pair.Word)];

    // The telling words of each group with their scores.
    private static List<(string Word, double Score)>[] Scores(IEnumerable<string> texts, int documents, IReadOnlyList<int[]> groups)
    {
        // Each word once, and numbers for it in the documents.
        var (numbers, vocabulary) = (new Dictionary<string, int>(StringComparer.Ordinal), new List<string>());
        int NumberOf(string word)
        {
            if (!numbers.TryGetValue(word, out var number))
            {
                numbers[word] = number = vocabulary.Count;
                vocabulary.Add(word);
            }

            return number;
        }

        int[][] words = [.. texts.Select(text => Words(text).Select(NumberOf).Distinct().ToArray())];
        var everywhere = Count(words);
        var inside = groups.Select(group => Count(group.Select(document => words[document]))).ToArray();
        var shares = new Dictionary<int, double>();
        foreach (var (word, share) in inside.Zip(groups).SelectMany(pair => pair.First.Select(entry => (entry.Key, (double)entry.Value / pair.Second.Length))))
            shares[word] = shares.GetValueOrDefault(word) + share;
        return [.. inside.Zip(groups, (own, group) => own
            .Where(pair => pair.Value >= Math.Min(2, group.Length) && LogOdds(pair.Value, group.Length, everywhere[pair.Key], documents) >= Telling)
            .Select(pair =>
            {
                var share = (double)pair.Value / group.Length;
                return (vocabulary[pair.Key], share * Math.Log((documents + 1d) / (everywhere[pair.Key] + 1d)) / (1 + shares[pair.Key] - share));
            }).ToList())];
    }

    private static Dictionary<int, int> Count(IEnumerable<int[]> documents) => documents.SelectMany(words => words).CountBy(word => word).ToDictionary();

    // Of having the word, in the group against all others, in standard errors; half a document added to each count.
    private static double LogOdds(int own, int size, int all, int documents)
    {
        var (others, rest) = (all - own, documents - size);
        double[] counts = [own + 0.5, size - own + 0.5, others + 0.5, rest - others + 0.5];
        return (Math.Log(counts[0] / counts[1]) - Math.Log(counts[2] / counts[3])) / Math.Sqrt(counts.Sum(count => 1 / count));
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
