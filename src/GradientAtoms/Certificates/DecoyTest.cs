namespace GradientAtoms.Certificates;

/// <summary>Scores of poles against the scores of poles of chance.</summary>
internal static class DecoyTest
{
    /// <summary>
    /// False discovery rates, target against decoys: at a threshold, the null poles above it, one added and divided by the number
    /// of nulls, are the false ones to be expected among the poles above it. A pole's rate is the smallest of a threshold that it
    /// passes.
    /// </summary>
    /// <param name="targets">Scores of the poles.</param>
    /// <param name="decoys">Scores of the null poles, a list a null.</param>
    /// <param name="added">The one.</param>
    /// <returns>One a target, 0 to 1.</returns>
    public static double[] FalseDiscoveryRates(IReadOnlyList<double> targets, IReadOnlyList<IReadOnlyList<double>> decoys, double added = 1)
    {
        var rates = new double[targets.Count];
        double[] pooled = [.. decoys.SelectMany(scores => scores).OrderDescending()];
        var order = Enumerable.Range(0, targets.Count).OrderBy(target => targets[target]).ToArray(); // the worst first
        var smallest = 1d;
        for (var place = 0; place < order.Length; place++)
        {
            var score = targets[order[place]];
            var above = order.Length - place;
            while (place > 0 && above < order.Length && targets[order[order.Length - above - 1]] == score)
                above++; // of equal scores all pass together
            var passing = pooled.TakeWhile(decoy => decoy >= score).Count();
            smallest = Math.Min(smallest, (added + passing) / Math.Max(1, decoys.Count) / above);
            rates[order[place]] = smallest;
        }

        return rates;
    }

    /// <summary>
    /// Family-wise rates: the rank of a pole's score among the largest scores of the nulls, (1 + nulls whose largest is at least
    /// this) / (1 + nulls). Where all is chance, the best pole of the run is at or below r with a probability of at most r.
    /// </summary>
    /// <param name="targets">Scores of the poles.</param>
    /// <param name="decoys">Scores of the null poles, a list a null.</param>
    /// <returns>One a target, 0 to 1.</returns>
    public static double[] FamilyWiseRates(IReadOnlyList<double> targets, IReadOnlyList<IReadOnlyList<double>> decoys) =>
        [.. targets.Select(score => (1.0 + decoys.Count(scores => scores.Count > 0 && scores.Max() >= score)) / (1.0 + decoys.Count))];
}
