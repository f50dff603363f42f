using GradientAtoms.Certificates;

namespace GradientAtoms.Atoms;

/// <summary>Two poles of different atoms that documents have together.</summary>
/// <param name="First">Index of the one.</param>
/// <param name="Second">Index of the other, larger.</param>
/// <param name="Together">Documents on both.</param>
/// <param name="Lift">Over the number that chance would give, n_a n_b / N.</param>
/// <param name="Jaccard">Together over those on either.</param>
/// <param name="P">Chance of so many or more, hypergeometric: the documents of the one a random draw.</param>
/// <param name="Adjusted">The same after Holm, over all pairs that were looked at.</param>
public sealed record PolePair(int First, int Second, int Together, double Lift, double Jaccard, double P, double Adjusted);

/// <summary>Which poles occur together more often than chance.</summary>
public static class PolePairs
{
    /// <summary>
    /// Counts every pair of poles of different atoms. With n_a, n_b of N documents, the number n_ab on both has under chance the
    /// hypergeometric law, and P = Σ_{j ≥ n_ab} C(n_a, j) C(N − n_a, n_b − j) / C(N, n_b), adjusted by <see cref="HolmCorrection"/> over all pairs.
    /// </summary>
    /// <remarks>Documents count alike under chance. Where some have many more codes than others, pairs are found a little too easily.</remarks>
    /// <param name="poles">The documents of each pole, each once.</param>
    /// <param name="atoms">The atom of each: poles of one atom are no pair.</param>
    /// <param name="documentCount">N.</param>
    /// <param name="level">Pairs of a larger adjusted value are left out.</param>
    /// <returns>The surest first.</returns>
    public static IReadOnlyList<PolePair> Find(IReadOnlyList<IReadOnlyList<int>> poles, IReadOnlyList<int> atoms, int documentCount, double level = 0.05)
    {
        ArgumentNullException.ThrowIfNull(poles);
        if (atoms.Count != poles.Count)
        {
            throw new ArgumentException($"{atoms.Count} atoms for {poles.Count} poles", nameof(atoms));
        }

        var together = Together(poles, documentCount);
        var logs = LogFactorials(documentCount);
        List<PolePair> pairs = [];
        var tests = 0L;
        for (var first = 0; first < poles.Count; first++)
        {
            for (var second = first + 1; second < poles.Count; second++)
            {
                if (atoms[first] == atoms[second])
                {
                    continue;
                }

                tests++;
                if (together.TryGetValue((first, second), out var both))
                {
                    var (one, other) = (poles[first].Count, poles[second].Count);
                    pairs.Add(new(first, second, both, (double)both * documentCount / ((double)one * other), (double)both / (one + other - both), Tail(both, one, other, documentCount, logs), 1));
                }
            }
        }

        // Pairs that no document has were looked at too, with P = 1.
        var adjusted = HolmCorrection.Adjust([.. pairs.Select(pair => pair.P)], tests);
        return
        [
            .. pairs.Zip(adjusted, (pair, value) => pair with { Adjusted = value }).Where(pair => pair.Adjusted <= level)
                .OrderBy(pair => pair.P).ThenBy(pair => pair.First).ThenBy(pair => pair.Second),
        ];
    }

    /// <summary>P(X ≥ both) of the hypergeometric law.</summary>
    internal static double Tail(int both, int one, int other, int documentCount) => Tail(both, one, other, documentCount, LogFactorials(documentCount));

    private static double Tail(int both, int one, int other, int documentCount, double[] logs)
    {
        var sum = 0.0;
        for (var j = Math.Max(both, one + other - documentCount); j <= Math.Min(one, other); j++)
        {
            sum += Math.Exp(
                logs[one] - logs[j] - logs[one - j]
                + logs[documentCount - one] - logs[other - j] - logs[documentCount - one - other + j]
                - logs[documentCount] + logs[other] + logs[documentCount - other]);
        }

        return Math.Min(sum, 1);
    }

    private static double[] LogFactorials(int count)
    {
        var logs = new double[count + 1];
        for (var i = 1; i <= count; i++)
        {
            logs[i] = logs[i - 1] + Math.Log(i);
        }

        return logs;
    }

    private static Dictionary<(int First, int Second), int> Together(IReadOnlyList<IReadOnlyList<int>> poles, int documentCount)
    {
        var byDocument = new List<int>?[documentCount];
        for (var pole = 0; pole < poles.Count; pole++)
        {
            foreach (var document in poles[pole])
            {
                (byDocument[document] ??= []).Add(pole);
            }
        }

        var together = new Dictionary<(int First, int Second), int>();
        foreach (var own in byDocument.OfType<List<int>>())
        {
            for (var i = 0; i < own.Count; i++)
            {
                for (var j = i + 1; j < own.Count; j++)
                {
                    together[(own[i], own[j])] = together.GetValueOrDefault((own[i], own[j])) + 1;
                }
            }
        }

        return together;
    }
}
