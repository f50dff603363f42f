namespace GradientAtoms.Evaluation;

/// <summary>How often something was seen.</summary>
/// <param name="Count">Times it was seen.</param>
/// <param name="Total">Times it could have been seen.</param>
public sealed record Proportion(int Count, int Total)
{
    private const double Normal975 = 1.959963984540054;

    /// <summary>Count / Total; NaN of none.</summary>
    public double Rate => (double)Count / Total;

    /// <summary>Wilson's interval of 95 % (Wilson, 1927): unlike ± 2 standard errors it is right at 0 and 1 too. 0 to 1 of none.</summary>
    public (double Low, double High) Interval
    {
        get
        {
            if (Total == 0)
            {
                return (0, 1);
            }

            var z2 = Normal975 * Normal975;
            var centre = (Rate + (z2 / (2 * Total))) / (1 + (z2 / Total));
            var half = Normal975 * Math.Sqrt((Rate * (1 - Rate) / Total) + (z2 / (4.0 * Total * Total))) / (1 + (z2 / Total));
            return (Math.Max(0, centre - half), Math.Min(1, centre + half));
        }
    }

    /// <summary>Of answers that show something or not.</summary>
    public static Proportion Of<T>(IReadOnlyCollection<T> seen, Func<T, bool> shows) => new(seen.Count(shows), seen.Count);
}
