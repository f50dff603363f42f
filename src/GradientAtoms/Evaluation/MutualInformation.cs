namespace GradientAtoms.Evaluation;

/// <summary>How much two ways to sort the same documents agree.</summary>
internal static class MutualInformation
{
    private const double Epsilon = 2.220446049250313e-16; // of a double at 1

    /// <summary>
    /// Mutual information adjusted for chance, (MI − E[MI]) / (mean of the two entropies − E[MI]), with the expectation under
    /// permutations of one of the two (Vinh, Epps and Bailey 2010): 1 for the same sorting, 0 on average for unrelated ones.
    /// The limits are those of scikit-learn's <c>adjusted_mutual_info_score</c> with the arithmetic mean.
    /// </summary>
    public static double Adjusted(IReadOnlyList<int> first, IReadOnlyList<int> second)
    {
        if (first.Count != second.Count)
            throw new ArgumentException($"{first.Count} and {second.Count} entries", nameof(second));
        var (rows, columns, cells) = Count(first, second);
        if (rows.Length <= 1 && columns.Length <= 1)
            return 1;
        if (rows.Length == 1 || columns.Length == 1)
            return 0;
        var expected = Expected(rows, columns);
        var information = Information(rows, columns, cells);
        return AwayFromZero(information - expected) / AwayFromZero((0.5 * (Entropy(rows) + Entropy(columns))) - expected);
    }

    /// <summary>In nats.</summary>
    internal static double Plain(IReadOnlyList<int> first, IReadOnlyList<int> second)
    {
        var (rows, columns, cells) = Count(first, second);
        return Information(rows, columns, cells);
    }

    /// <summary>The mean of the mutual information over all permutations: cells are hypergeometric.</summary>
    internal static double Expected(int[] rows, int[] columns)
    {
        var total = rows.Sum();
        var logFactorials = new double[total + 1];
        for (var n = 2; n <= total; n++)
            logFactorials[n] = logFactorials[n - 1] + Math.Log(n);
        var sum = 0d;
        foreach (var row in rows)
        {
            foreach (var column in columns)
            {
                var constant = logFactorials[row] + logFactorials[column] + logFactorials[total - row] + logFactorials[total - column] - logFactorials[total];
                for (var cell = Math.Max(1, row + column - total); cell <= Math.Min(row, column); cell++)
                {
                    var logProbability = constant - logFactorials[cell] - logFactorials[row - cell] - logFactorials[column - cell] - logFactorials[total - row - column + cell];
                    sum += (double)cell / total * Math.Log((double)total * cell / ((double)row * column)) * Math.Exp(logProbability);
                }
            }
        }

        return sum;
    }

    internal static (int[] Rows, int[] Columns, Dictionary<(int Row, int Column), int> Cells) Count(IReadOnlyList<int> first, IReadOnlyList<int> second)
    {
        var (rowOf, columnOf) = (Index(first), Index(second));
        var (rows, columns) = (new int[rowOf.Count], new int[columnOf.Count]);
        var cells = new Dictionary<(int, int), int>();
        for (var i = 0; i < first.Count; i++)
        {
            var cell = (rowOf[first[i]], columnOf[second[i]]);
            rows[cell.Item1]++;
            columns[cell.Item2]++;
            cells[cell] = cells.GetValueOrDefault(cell) + 1;
        }

        return (rows, columns, cells);
    }

    private static Dictionary<int, int> Index(IReadOnlyList<int> values)
    {
        var index = new Dictionary<int, int>();
        foreach (var value in values)
            index.TryAdd(value, index.Count);
        return index;
    }

    private static double Information(int[] rows, int[] columns, Dictionary<(int Row, int Column), int> cells)
    {
        double total = rows.Sum();
        return cells.Sum(cell => cell.Value / total * Math.Log(total * cell.Value / ((double)rows[cell.Key.Row] * columns[cell.Key.Column])));
    }

    private static double Entropy(int[] counts)
    {
        double total = counts.Sum();
        return -counts.Sum(count => count / total * Math.Log(count / total));
    }

    // Where each document is a class of its own, numerator and denominator are 0 up to rounding, and the answer is 1.
    private static double AwayFromZero(double value) => value < 0 ? Math.Min(value, -Epsilon) : Math.Max(value, Epsilon);
}
