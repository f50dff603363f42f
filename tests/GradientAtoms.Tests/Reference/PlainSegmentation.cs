namespace GradientAtoms.Tests.Reference;

/// <summary>Ways to cut a word into pieces, written as their definitions read.</summary>
internal static class PlainSegmentation
{
    /// <summary>The largest sum of scores over all ways to cut a word: tries every one of them.</summary>
    /// <param name="word">The word.</param>
    /// <param name="scores">The score of each piece.</param>
    /// <param name="unknown">The score of a single character that is no piece.</param>
    public static double BestScore(string word, IReadOnlyDictionary<string, double> scores, double unknown)
    {
        if (word.Length == 0)
        {
            return 0;
        }

        var best = double.NegativeInfinity;
        for (var length = 1; length <= word.Length; length++)
        {
            if (scores.TryGetValue(word[..length], out var score) || length == 1)
            {
                best = Math.Max(best, (scores.ContainsKey(word[..length]) ? score : unknown) + BestScore(word[length..], scores, unknown));
            }
        }

        return best;
    }

    /// <summary>Merges neighbours whose text together is a piece, the best score first, the leftmost of equal ones, one at a time.</summary>
    public static IReadOnlyList<string> MergeByScore(string word, IReadOnlyDictionary<string, double> scores)
    {
        var parts = word.Select(character => character.ToString()).ToList();
        while (true)
        {
            var (at, best) = (-1, double.NegativeInfinity);
            for (var i = 0; i + 1 < parts.Count; i++)
            {
                if (scores.TryGetValue(parts[i] + parts[i + 1], out var score) && score > best)
                {
                    (at, best) = (i, score);
                }
            }

            if (at < 0)
            {
                return parts;
            }

            parts[at] += parts[at + 1];
            parts.RemoveAt(at + 1);
        }
    }

    /// <summary>The longest piece from the left, again and again; null where one is missing.</summary>
    public static IReadOnlyList<string>? LongestFirst(string word, IReadOnlySet<string> pieces, string prefix)
    {
        var parts = new List<string>();
        for (var start = 0; start < word.Length; start += parts[^1].Length - (parts.Count > 1 ? prefix.Length : 0))
        {
            var found = Enumerable.Range(1, word.Length - start).Reverse()
                .Select(length => (start > 0 ? prefix : "") + word[start..(start + length)])
                .FirstOrDefault(pieces.Contains);
            if (found is null)
            {
                return null;
            }

            parts.Add(found);
        }

        return parts;
    }
}
