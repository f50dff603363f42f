using System.Globalization;

namespace GradientAtoms.Bench.Scoring;

/// <summary>Arguments of the form <c>--name value</c> and <c>--flag</c>.</summary>
internal sealed class Arguments
{
    private readonly Dictionary<string, string> _values = new(StringComparer.Ordinal);

    public Arguments(string[] arguments)
    {
        for (var i = 0; i < arguments.Length; i++)
        {
            if (!arguments[i].StartsWith("--", StringComparison.Ordinal))
                throw new ArgumentException($"expected an option, found {arguments[i]}");
            var hasValue = i + 1 < arguments.Length && !arguments[i + 1].StartsWith("--", StringComparison.Ordinal);
            _values[arguments[i][2..]] = hasValue ? arguments[++i] : "";
        }
    }

    public IReadOnlyDictionary<string, string> All => _values;

    public bool Has(string name) => _values.ContainsKey(name);

    public string? Text(string name) => _values.GetValueOrDefault(name);

    public string Need(string name) => Text(name) ?? throw new ArgumentException($"--{name} is missing");

    public int Integer(string name, int otherwise) => Text(name) is { } text ? int.Parse(text, CultureInfo.InvariantCulture) : otherwise;

    public double Number(string name, double otherwise) => Text(name) is { } text ? double.Parse(text, CultureInfo.InvariantCulture) : otherwise;

    public double[] Numbers(string name, string otherwise) => [.. (Text(name) ?? otherwise).Split(',').Select(text => double.Parse(text, CultureInfo.InvariantCulture))];
}
