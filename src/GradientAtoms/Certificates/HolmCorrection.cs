namespace GradientAtoms.Certificates;

/// <summary>Holm's correction of a family of tests (Holm 1979): the chance of any false alarm stays below the level, however the tests depend on one another.</summary>
internal static class HolmCorrection
{
    /// <summary>With m tests, the adjusted value of the i-th smallest is max over j ≤ i of (m − j + 1) P_j, at most 1.</summary>
    /// <param name="p">The p-values, in any order.</param>
    /// <param name="tests">m, where tests that are not in <paramref name="p"/> have been made too and gave 1; null: as many as there are values.</param>
    /// <returns>In the order of <paramref name="p"/>.</returns>
    public static IReadOnlyList<double> Adjust(IReadOnlyList<double> p, long? tests = null)
    {
        ArgumentNullException.ThrowIfNull(p);
        ArgumentOutOfRangeException.ThrowIfLessThan(tests ?? p.Count, p.Count, nameof(tests));
        var (adjusted, largest, left) = (new double[p.Count], 0.0, tests ?? p.Count);
        foreach (var place in Enumerable.Range(0, p.Count).OrderBy(place => p[place]))
        {
            largest = Math.Max(largest, Math.Min(1, left-- * p[place]));
            adjusted[place] = largest;
        }

        return adjusted;
    }
}
