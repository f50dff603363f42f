using System.Globalization;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>A part of a pass over the documents: the second of four is <c>2/4</c>.</summary>
/// <param name="Index">From 1 to <paramref name="Count"/>.</param>
/// <param name="Count">How many parts there are.</param>
public sealed record ShardId(int Index, int Count)
{
    /// <summary>Reads <c>2/4</c>.</summary>
    /// <param name="text">Anything.</param>
    /// <returns>Null where it is no such thing.</returns>
    public static ShardId? TryParse(string? text) => text?.Split('/') is [var left, var right]
        && int.TryParse(left, NumberStyles.None, CultureInfo.InvariantCulture, out var index)
        && int.TryParse(right, NumberStyles.None, CultureInfo.InvariantCulture, out var count)
        && index >= 1 && index <= count
            ? new(index, count)
            : null;

    /// <summary>Every part of a pass of so many.</summary>
    /// <param name="count">At least 1.</param>
    public static IReadOnlyList<ShardId> All(int count) => [.. Enumerable.Range(1, count).Select(index => new ShardId(index, count))];

    /// <summary><c>2/4</c>.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Index}/{Count}");
}
