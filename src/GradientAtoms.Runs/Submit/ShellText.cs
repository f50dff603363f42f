namespace GradientAtoms.Runs.Submit;

/// <summary>Words for a POSIX shell.</summary>
internal static class ShellText
{
    /// <summary>A word that the shell takes as it is.</summary>
    public static string Quote(string word) => word.Length > 0 && word.All(letter => char.IsAsciiLetterOrDigit(letter) || "_-./:=,+@%".Contains(letter, StringComparison.Ordinal))
        ? word
        : $"'{word.Replace("'", "'\\''", StringComparison.Ordinal)}'";

    /// <summary>Several words.</summary>
    public static string Join(IEnumerable<string> words) => string.Join(' ', words.Select(Quote));
}
