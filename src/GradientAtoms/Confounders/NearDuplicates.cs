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
    public static int[] Groups(IEnumerable<string> texts, double similarity = 0.7)
    {
        ulong[][] shingles = [.. texts.Select(Shingles)];
        int[] parents = [.. Enumerable.Range(0, shingles.Length)];
        var (buckets, next) = (new Dictionary<(ulong, ulong, ulong), int>(), new int[shingles.Length]);
        for (var band = 0; band < Bands; band++)
        {
            // The first leader of each bucket, and behind each leader the next one.
            buckets.Clear();
            for (var text = 0; text < shingles.Length; text++)
            {
                if (shingles[text].Length == 0)
                    continue;
                next[text] = -1;
                var key = (Least(shingles[text], band, 0), Least(shingles[text], band, 1), Least(shingles[text], band, 2));
                if (buckets.TryAdd(key, text))
                    continue;

                // Against the leaders of the bucket only: a template of thousands of rows stays linear.
                var (found, last) = (-1, -1);
                for (var (leader, seen) = (buckets[key], 0); leader >= 0 && found < 0 && seen < 16; leader = next[leader], seen++)
                {
                    found = Root(parents, leader) == Root(parents, text) || Jaccard(shingles[leader], shingles[text]) >= similarity ? leader : -1;
                    last = leader;
                }

                if (found < 0)
                {
                    (next[text], next[last]) = (next[last], text); // behind those that were looked at
                    continue;
                }

                var (one, other) = (Root(parents, found), Root(parents, text));
                parents[Math.Max(one, other)] = Math.Min(one, other);
            }
        }

        return [.. Enumerable.Range(0, shingles.Length).Select(text => Root(parents, text))];
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

    // One number of a text's signature. They are computed a band at a time: all of them would take more memory than the texts.
    private static ulong Least(ulong[] shingles, int band, int row)
    {
        var (hash, least) = (((ulong)((band * RowsPerBand) + row) + 1) * 0x9E3779B97F4A7C15, ulong.MaxValue);
        foreach (var shingle in shingles)
            least = Math.Min(least, Mix(shingle + hash));
        return least;
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
