using System.Globalization;
using System.Text;

namespace GradientAtoms.Cli;

/// <summary>Text of documents and numbers, made fit for a terminal.</summary>
internal static class Plain
{
    /// <summary>One line: line breaks become ⏎, and control characters (a terminal would obey them) become �.</summary>
    public static string Line(string text) => Clean(text, keepLines: false);

    /// <summary>The same with line breaks and tabs kept.</summary>
    public static string Lines(string text) => Clean(text, keepLines: true);

    /// <summary>One line of at most so many characters, with … at the end where it was cut.</summary>
    public static string Short(string text, int length, bool trim = true)
    {
        // Cut first, so that a document of megabytes costs nothing; then again, since ⏎ never lengthens.
        var line = Line(text.Length > length * 2 ? text[..(length * 2)] : text);
        line = trim ? line.Trim() : line;
        if (line.Length <= length)
        {
            return line;
        }

        var end = char.IsHighSurrogate(line[length - 2]) ? length - 2 : length - 1;
        return line[..end] + "…";
    }

    /// <summary>1,234,567.</summary>
    public static string Count(long value) => value.ToString("N0", CultureInfo.InvariantCulture);

    /// <summary>A number with so many digits after the point.</summary>
    public static string Number(double value, int digits = 3) => value.ToString("F" + digits.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);

    /// <summary>A number with three significant digits.</summary>
    public static string Short(double value) => value.ToString("G3", CultureInfo.InvariantCulture);

    /// <summary>A share as 12.3 %.</summary>
    public static string Percent(double share) => (share * 100).ToString("F1", CultureInfo.InvariantCulture) + " %";

    /// <summary>3.2 GiB.</summary>
    public static string Bytes(long bytes)
    {
        string[] units = ["B", "KiB", "MiB", "GiB", "TiB"];
        double value = bytes;
        var unit = 0;
        while (Math.Abs(value) >= 1024 && unit < units.Length - 1)
        {
            value /= 1024;
            unit++;
        }

        return value.ToString(unit == 0 ? "F0" : "F1", CultureInfo.InvariantCulture) + " " + units[unit];
    }

    /// <summary>4 min 10 s.</summary>
    public static string Duration(TimeSpan time) => time switch
    {
        { TotalSeconds: < 10 } => time.TotalSeconds.ToString("F1", CultureInfo.InvariantCulture) + " s",
        { TotalSeconds: < 60 } => time.TotalSeconds.ToString("F0", CultureInfo.InvariantCulture) + " s",
        { TotalHours: < 1 } => string.Create(CultureInfo.InvariantCulture, $"{time.Minutes} min {time.Seconds} s"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{(int)time.TotalHours} h {time.Minutes} min"),
    };

    private static string Clean(string text, bool keepLines)
    {
        var clean = new StringBuilder(text.Length);
        foreach (var character in text)
        {
            clean.Append(character switch
            {
                '\n' => keepLines ? '\n' : '⏎',
                '\t' => keepLines ? '\t' : ' ',
                '\r' => '\0',
                _ when char.IsControl(character) || IsDirectional(character) => '\ufffd',
                _ => character,
            });
        }

        return clean.Replace("\0", string.Empty).ToString();
    }

    // Overrides of the writing direction would let a document rewrite the line around it.
    private static bool IsDirectional(char character) => character is (>= '\u202a' and <= '\u202e') or (>= '\u2066' and <= '\u2069');
}
