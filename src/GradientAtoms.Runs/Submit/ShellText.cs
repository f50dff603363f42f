namespace GradientAtoms.Runs.Submit;

/// <summary>Words for a POSIX shell.</summary>
public static class ShellText
{
    /// <summary>A word that the shell takes as it is.</summary>
    /// <param name="word">Any text.</param>
    public static string Quote(string word) => word.Length > 0 && word.All(letter => char.IsAsciiLetterOrDigit(letter) || "_-./:=,+@%".Contains(letter, StringComparison.Ordinal))
        ? word
        : $"'{word.Replace("'", "'\\''", StringComparison.Ordinal)}'";

    /// <summary>Several words.</summary>
    /// <param name="words">Each quoted where it has to be.</param>
    public static string Join(IEnumerable<string> words) => string.Join(' ', words.Select(Quote));
}
