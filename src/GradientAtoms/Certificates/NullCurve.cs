namespace GradientAtoms.Certificates;

/// <summary>
/// What a statistic is in poles of chance that have as many documents: location and spread among the null poles nearest in
/// log support. A statistic less the location, over the spread, is comparable between poles of all sizes.
/// </summary>
internal sealed class NullCurve
{
    private const double NormalSpread = 1.4826; // of a median absolute deviation
    private const int FewestNeighbours = 40;

    private readonly double[] _supports; // log, ascending
    private readonly double[] _values;
    private readonly int _neighbours;
    private readonly Dictionary<int, double[]> _near = [];

    /// <summary>Takes the null poles.</summary>
    /// <param name="poles">Documents and statistic of each.</param>
    public NullCurve(IEnumerable<(int Documents, double Value)> poles)
    {
        var sorted = poles.OrderBy(pole => pole.Documents).ToArray();
        _supports = [.. sorted.Select(pole => Math.Log(pole.Documents))];
        _values = [.. sorted.Select(pole => pole.Value)];
        _neighbours = Math.Min(sorted.Length, Math.Max(FewestNeighbours, sorted.Length / 10));
    }

    /// <summary>Location and spread at a support; 0 and 1 where there are no null poles.</summary>
    public (double Location, double Spread) At(int documents)
    {
        var near = Near(documents);
        if (near.Length == 0)
            return (0, 1);
        var location = QuantileOf(near, 0.5);
        var spread = NormalSpread * QuantileOf([.. near.Select(value => Math.Abs(value - location)).Order()], 0.5);
        return (location, Math.Max(spread, 1e-9));
    }

    /// <summary>How many spreads above the location.</summary>
    public double Score(int documents, double value)
    {
        var (location, spread) = At(documents);
        return (value - location) / spread;
    }

    /// <summary>What a share of the null poles of such a support does not exceed; null where there are none.</summary>
    public double? Quantile(int documents, double share) => Near(documents) is { Length: > 0 } near ? QuantileOf(near, share) : null;

    /// <summary>A quantile of ascending values, between neighbours where it falls between them.</summary>
    internal static double QuantileOf(double[] ascending, double share)
    {
        var place = share * (ascending.Length - 1);
        var low = (int)place;
        return low + 1 < ascending.Length ? ascending[low] + ((place - low) * (ascending[low + 1] - ascending[low])) : ascending[low];
    }

    // Values of the nearest null poles, ascending.
    private double[] Near(int documents)
    {
        if (_near.TryGetValue(documents, out var known) || _neighbours == 0)
            return known ?? [];
        var support = Math.Log(documents);
        var (low, high) = (0, _supports.Length - 1);
        while (high - low + 1 > _neighbours)
        {
            if (support - _supports[low] > _supports[high] - support)
                low++;
            else
                high--;
        }

        // All of one support come together: which of them are the nearest would be arbitrary.
        while (low > 0 && _supports[low - 1] == _supports[low])
            low--;
        while (high + 1 < _supports.Length && _supports[high + 1] == _supports[high])
            high++;
        return _near[documents] = [.. _values[low..(high + 1)].Order()];
    }
}
