using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using GradientAtoms.Runs.Pipeline;

namespace GradientAtoms.Cli;

/// <summary>Options that check their values as they are read, and say what they want.</summary>
internal static class Opt
{
    public static Option<string?> Text(string name, string valueName, string help, bool required = false) => new(name) { Description = help, HelpName = valueName, Required = required };

    /// <summary>One id or more. What looks like an option is none of them: an option that a command does not have must not pass for an id.</summary>
    public static Argument<string[]> Ids(string name, string help)
    {
        var ids = new Argument<string[]>(name) { Description = help, Arity = ArgumentArity.OneOrMore };
        ids.Validators.Add(result =>
        {
            foreach (var token in result.Tokens.Where(token => token.Value.StartsWith('-')))
            {
                result.AddError($"Unrecognized command or argument '{token.Value}'.");
            }
        });
        return ids;
    }

    /// <summary>A whole number of at least <paramref name="least"/>.</summary>
    public static Option<int?> Whole(string name, string valueName, string help, int least = 1) => new(name)
    {
        Description = help,
        HelpName = valueName,
        CustomParser = result =>
        {
            var text = Token(result);
            if (int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) && value >= least)
            {
                return value;
            }

            result.AddError($"{name} wants a whole number of at least {least.ToString(CultureInfo.InvariantCulture)}, not '{text}'");
            return null;
        },
    };

    public static Option<long?> Long(string name, string valueName, string help) => new(name)
    {
        Description = help,
        HelpName = valueName,
        CustomParser = result =>
        {
            var text = Token(result);
            if (long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value))
            {
                return value;
            }

            result.AddError($"{name} wants a whole number of at least 0, not '{text}'");
            return null;
        },
    };

    /// <summary>A number above <paramref name="above"/>, or of at least <paramref name="least"/>.</summary>
    public static Option<double?> Number(string name, string valueName, string help, double? above = null, double? least = null) => new(name)
    {
        Description = help,
        HelpName = valueName,
        CustomParser = result =>
        {
            var text = Token(result);
            if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && double.IsFinite(value) && !(value <= above) && !(value < least))
            {
                return value;
            }

            var bound = above is { } a ? string.Create(CultureInfo.InvariantCulture, $" above {a}") : least is { } l ? string.Create(CultureInfo.InvariantCulture, $" of at least {l}") : string.Empty;
            result.AddError($"{name} wants a number{bound}, not '{text}'");
            return null;
        },
    };

    /// <summary>A share: .05 or 5%.</summary>
    public static Option<double?> Share(string name, string help) => new(name)
    {
        Description = help,
        HelpName = "SHARE",
        CustomParser = result =>
        {
            var text = Token(result);
            var isPercent = text.EndsWith('%');
            if (double.TryParse(text.TrimEnd('%').Trim(), NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && value >= 0 && value <= (isPercent ? 100 : 1))
            {
                return isPercent ? value / 100 : value;
            }

            result.AddError($"{name} wants a share such as .05 or 5%, not '{text}'");
            return null;
        },
    };

    /// <summary>Bytes: 6GiB, 500MB, 1073741824.</summary>
    public static Option<long?> Size(string name, string help) => new(name)
    {
        Description = help,
        HelpName = "SIZE",
        CustomParser = result =>
        {
            var text = Token(result);
            if (TryParseSize(text, out var bytes))
            {
                return bytes;
            }

            result.AddError($"{name} wants a size such as 6GiB or 500MB, not '{text}'");
            return null;
        },
    };

    /// <summary>A length of time, in seconds: 90m, 2.5h, 1d, 45s.</summary>
    public static Option<double?> Duration(string name, string help) => new(name)
    {
        Description = help,
        HelpName = "TIME",
        CustomParser = result =>
        {
            var text = Token(result);
            double factor = text is [.., var unit] ? unit switch { 's' => 1, 'm' => 60, 'h' => 3600, 'd' => 86400, _ => 0 } : 0;
            if (factor > 0 && double.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var value) && value > 0 && value * factor <= 1e9)
            {
                return value * factor;
            }

            result.AddError($"{name} wants a time such as 90m, 2h or 1.5d, not '{text}'");
            return null;
        },
    };

    /// <summary>A part of a whole: 2/4.</summary>
    public static Option<ShardId?> Shard(string name, string help) => new(name)
    {
        Description = help,
        HelpName = "I/N",
        CustomParser = result =>
        {
            if (ShardId.TryParse(Token(result)) is { } shard)
            {
                return shard;
            }

            result.AddError($"{name} wants a part such as 2/4, the second of four, not '{Token(result)}'");
            return null;
        },
    };

    /// <summary>A day, or a day and a time: 2025-01-31, 2025-01-31T08:00.</summary>
    public static Option<DateTime?> Date(string name, string help) => new(name)
    {
        Description = help,
        HelpName = "DATE",
        CustomParser = result =>
        {
            var text = Token(result);
            if (DateTime.TryParseExact(text, ["yyyy-MM-dd", "yyyy-MM-ddTHH:mm", "yyyy-MM-ddTHH:mm:ss"], CultureInfo.InvariantCulture, DateTimeStyles.None, out var value))
            {
                return value;
            }

            result.AddError($"{name} wants a day such as 2025-01-31, or a day and a time such as 2025-01-31T08:00, not '{text}'");
            return null;
        },
    };

    /// <summary>One of a few words.</summary>
    public static Option<string?> Choice(string name, string help, params string[] choices)
    {
        var option = new Option<string?>(name)
        {
            Description = help,
            HelpName = string.Join('|', choices),
            CustomParser = result =>
            {
                var text = Token(result);
                if (choices.Contains(text, StringComparer.Ordinal))
                {
                    return text;
                }

                result.AddError($"{name} wants one of {string.Join(", ", choices)}, not '{text}'");
                return null;
            },
        };
        option.CompletionSources.Add(choices);
        return option;
    }

    public static Option<bool> Flag(string name, string help) => new(name) { Description = help };

    /// <summary>Reads <c>6GiB</c>, <c>6G</c>, <c>500MB</c> or bytes.</summary>
    internal static bool TryParseSize(string text, out long bytes)
    {
        bytes = 0;
        var digits = text.AsSpan().TrimEnd("BbiKkMmGgTt ");
        var unit = text[digits.Length..].Trim();
        double factor = unit.ToUpperInvariant() switch
        {
            "" or "B" => 1,
            "K" or "KIB" => 1L << 10,
            "M" or "MIB" => 1L << 20,
            "G" or "GIB" => 1L << 30,
            "T" or "TIB" => 1L << 40,
            "KB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            "TB" => 1e12,
            _ => 0,
        };
        if (factor == 0 || !double.TryParse(digits, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var value) || value <= 0 || value * factor > long.MaxValue / 2)
        {
            return false;
        }

        bytes = (long)(value * factor);
        return true;
    }

    private static string Token(ArgumentResult result) => result.Tokens.Count == 0 ? string.Empty : result.Tokens[^1].Value;
}
