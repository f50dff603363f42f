namespace GradientAtoms.Bench;

/// <summary>The median, of an even number of values the larger of the two in the middle: always a value that was measured.</summary>
internal static class Middle
{
    /// <summary>Of at least one value.</summary>
    public static double Of(IEnumerable<double> values) => values.Order().ToList() is var sorted ? sorted[sorted.Count / 2] : default;
}
