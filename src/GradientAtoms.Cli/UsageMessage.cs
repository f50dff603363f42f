using System.CommandLine;

namespace GradientAtoms.Cli;

/// <summary>What the parser could not read, in words, with the nearest name that exists.</summary>
internal static class UsageMessage
{
    public static UsageException From(ParseResult parsed, RootCommand root)
    {
        var command = parsed.CommandResult.Command;
        var name = command is RootCommand ? "gatoms" : $"gatoms {command.Name}";
        var problem = string.Join("; ", parsed.Errors.Select(error => error.Message.TrimEnd('.')).Distinct(StringComparer.Ordinal));
        var unknown = parsed.UnmatchedTokens.Count > 0 ? parsed.UnmatchedTokens[0] : null;
        if (unknown is not null && Nearest(unknown, command, root) is { } near)
        {
            return UsageException.Arguments(name, problem, $"did you mean {near}? {name} --help lists everything");
        }

        return UsageException.Arguments(name, problem, $"{name} --help lists the arguments, with examples");
    }

    private static string? Nearest(string token, Command command, RootCommand root)
    {
        var names = token.StartsWith('-')
            ? command.Options.SelectMany(option => option.Aliases.Append(option.Name))
            : root.Subcommands.Select(sub => sub.Name);
        var best = names.Select(candidate => (candidate, distance: Distance(token, candidate))).DefaultIfEmpty((string.Empty, int.MaxValue)).MinBy(pair => pair.Item2);
        return best.Item2 <= Math.Max(2, token.Length / 3) ? best.Item1 : null;
    }

    /// <summary>Levenshtein's distance.</summary>
    private static int Distance(string left, string right)
    {
        var previous = Enumerable.Range(0, right.Length + 1).ToArray();
        for (var row = 1; row <= left.Length; row++)
        {
            var current = new int[right.Length + 1];
            current[0] = row;
            for (var column = 1; column <= right.Length; column++)
            {
                var change = previous[column - 1] + (left[row - 1] == right[column - 1] ? 0 : 1);
                current[column] = Math.Min(change, Math.Min(previous[column], current[column - 1]) + 1);
            }

            previous = current;
        }

        return previous[^1];
    }
}
