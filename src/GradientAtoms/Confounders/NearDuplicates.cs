using System.Security.Cryptography;
using System.Text;

namespace GradientAtoms.Confounders;

/// <summary>
/// Groups of texts that are nearly the same: Jaccard similarity of the sets of their word triples. Candidates are found by
/// min-hashing in bands (Broder 1997), then measured, so that no group comes from a collision of hashes.
/// </summary>
public static class NearDuplicates
{
    private const int Bands = 24;
    private const int RowsPerBand = 3; // at .7, one of 24 bands of 3 agrees with probability .9999
    private const int WordsPerShingle = 3;

    /// <summary>Finds the groups.</summary>
    /// <param name="texts"><c>[N]</c>.</param>
    /// <param name="similarity">Texts at least so similar are near-duplicates, 0 to 1.</param>
    /// <returns><c>[N]</c>: the first text of each one's group, itself where it is alone.</returns>
    public static int[] Groups(IReadOnlyList<string> texts, double similarity = 0.7)
    {
        ulong[][] shingles = [.. texts.Select(Shingles)];
        int[] parents = [.. Enumerable.Range(0, texts.Count)];
        ulong[][] signatures = [.. shingles.Select(Signature)];
        for (var band = 0; band < Bands; band++)
        {
            var buckets = new Dictionary<(ulong, ulong, ulong), List<int>>();
            for (var text = 0; text < texts.Count; text++)
            {
                if (shingles[text].Length == 0)
                    continue;
                var signature = signatures[text].AsSpan(band * RowsPerBand, RowsPerBand);
                var key = (signature[0], signature[1], signature[2]);
                if (!buckets.TryGetValue(key, out var leaders))
                    buckets[key] = leaders = [];

                // Against the leaders of the bucket only: a template of thousands of rows stays linear.
                var found = leaders.Take(16).FirstOrDefault(leader => Root(parents, leader) == Root(parents, text) || Jaccard(shingles[leader], shingles[text]) >= similarity, -1);
                if (found < 0)
                {
                    leaders.Add(text);
                    continue;
                }

                var (one, other) = (Root(parents, found), Root(parents, text));
                parents[Math.Max(one, other)] = Math.Min(one, other);
            }
        }

        return [.. Enumerable.Range(0, texts.Count).Select(text => Root(parents, text))];
    }

    private static int Root(int[] parents, int text)
    {
        while (parents[text] != text)
            text = parents[text] = parents[parents[text]];
        return text;
    }

    // Sorted, each once. A text of fewer words is one shingle.
    private static ulong[] Shingles(string text)
    {
        string[] words = [.. text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Select(word => word.ToLowerInvariant())];
        if (words.Length == 0)
            return [];
        var count = Math.Max(1, words.Length - WordsPerShingle + 1);
        return [.. Enumerable.Range(0, count).Select(at => Hash(string.Join(' ', words, at, Math.Min(WordsPerShingle, words.Length)))).Distinct().Order()];
    }

    private static ulong Hash(string shingle) => BitConverter.ToUInt64(SHA256.HashData(Encoding.UTF8.GetBytes(shingle)));

    private static ulong[] Signature(ulong[] shingles)
    {
        var signature = new ulong[Bands * RowsPerBand];
        for (var hash = 0; hash < signature.Length; hash++)
        {
            var least = ulong.MaxValue;
            foreach (var shingle in shingles)
                least = Math.Min(least, Mix(shingle + ((ulong)(hash + 1) * 0x9E3779B97F4A7C15)));
            signature[hash] = least;
        }

        return signature;
    }

    // The finaliser of splitmix64 (Steele, Lea and Flood 2014): every bit of the input moves every bit of the result.
    private static ulong Mix(ulong value)
    {
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }

    private static double Jaccard(ulong[] one, ulong[] other)
    {
        var (i, j, shared) = (0, 0, 0);
        while (i < one.Length && j < other.Length)
        {
            var order = one[i].CompareTo(other[j]);
            shared += order == 0 ? 1 : 0;
            i += order <= 0 ? 1 : 0;
            j += order >= 0 ? 1 : 0;
        }

        return (double)shared / (one.Length + other.Length - shared);
    }
}
