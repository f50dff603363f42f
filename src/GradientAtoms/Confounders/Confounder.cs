using System.Globalization;

namespace GradientAtoms.Confounders;

/// <summary>
/// Something about documents that is no behaviour but may explain who encodes on a pole: length, position, source, language,
/// format, near-duplication. Either a number a document (<see cref="OfNumbers"/>) or a group a document (<see cref="OfGroups"/>).
/// </summary>
public sealed class Confounder
{
    private const string Others = "others";

    private readonly string[] _names;
    private readonly bool _isOrdered;

    private Confounder(string name, int[] levels, string[] names, bool isOrdered)
    {
        (Name, Levels, _names, _isOrdered) = (name, levels, names, isOrdered);
        Before = new int[names.Length + 1];
        foreach (var level in levels)
            Before[level + 1]++;
        for (var level = 0; level < names.Length; level++)
            Before[level + 1] += Before[level];
    }

    /// <summary>What it is called: <c>length</c>, <c>source</c>.</summary>
    public string Name { get; }

    /// <summary>Documents, N.</summary>
    public int DocumentCount => Levels.Length;

    /// <summary>Whether it differs between documents at all: what does not explains nothing.</summary>
    public bool Varies => _names.Length > 1;

    /// <summary><c>[N]</c>: each document's group, or the rank of its number among the different ones.</summary>
    internal int[] Levels { get; }

    /// <summary><c>[levels + 1]</c>: documents in lower levels.</summary>
    internal int[] Before { get; }

    /// <summary>Whether levels have an order, so that only a cut into stretches is a grouping.</summary>
    internal bool IsOrdered => _isOrdered;

    /// <summary>A confounder that is a number; only its order counts, so that a length and its logarithm are one.</summary>
    /// <param name="name">What it is called.</param>
    /// <param name="values"><c>[N]</c>, finite.</param>
    /// <exception cref="ArgumentException">A value is NaN or infinite.</exception>
    public static Confounder OfNumbers(string name, IReadOnlyList<double> values)
    {
        if (values.Any(value => !double.IsFinite(value)))
            throw new ArgumentException($"{name} has a value that is NaN or infinite", nameof(values));
        double[] different = [.. values.Distinct().Order()];
        return new(name, [.. values.Select(value => Array.BinarySearch(different, value))], [.. different.Select(value => value.ToString("0.###", CultureInfo.InvariantCulture))], isOrdered: true);
    }

    /// <summary>A confounder that is a group. Documents without one, and those that are alone in theirs, are a group together.</summary>
    /// <param name="name">What it is called.</param>
    /// <param name="groups"><c>[N]</c>: the group's name, or null.</param>
    public static Confounder OfGroups(string name, IReadOnlyList<string?> groups)
    {
        var counts = groups.OfType<string>().CountBy(group => group, StringComparer.Ordinal).ToDictionary(StringComparer.Ordinal);
        string?[] kept = [.. groups.Select(group => group is not null && counts[group] > 1 ? group : null)];
        string[] names = [.. kept.OfType<string>().Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        var places = names.Index().ToDictionary(entry => entry.Item, entry => entry.Index, StringComparer.Ordinal);
        int[] levels = [.. kept.Select(group => group is null ? names.Length : places[group])];
        return new(name, levels, kept.Contains(null) ? [.. names, Others] : names, isOrdered: false);
    }

    /// <summary>How a reader would call the levels from one to another.</summary>
    /// <param name="first">The first level.</param>
    /// <param name="end">The level behind the last.</param>
    internal string Describe(int first, int end) =>
        !_isOrdered || end - first == 1 ? _names[first]
        : first == 0 ? $"up to {_names[end - 1]}"
        : end == _names.Length ? $"from {_names[first]}"
        : $"{_names[first]} to {_names[end - 1]}";
}

/// <summary>How much of the variance of a pole's codes a confounder explains.</summary>
/// <param name="Name">The confounder.</param>
/// <param name="Explained">Share of the codes' variance over all documents, beyond what it explains of shuffled codes; 0 to 1.</param>
/// <param name="Chance">The share that it explains of shuffled codes, on average.</param>
/// <param name="Where">Where the codes are: a group, or a stretch of numbers; null where it explains nothing.</param>
public sealed record ConfounderShare(string Name, double Explained, double Chance, string? Where);
