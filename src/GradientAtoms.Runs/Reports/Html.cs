using System.Globalization;
using System.Text;

namespace GradientAtoms.Runs.Reports;

/// <summary>Text and numbers as HTML that is well-formed XML too.</summary>
internal static class Html
{
    /// <summary>Text made harmless, in content and in quoted attributes. What XML cannot hold becomes U+FFFD.</summary>
    public static string Escape(string text)
    {
        var escaped = new StringBuilder(text.Length + 16);
        for (var index = 0; index < text.Length; index++)
        {
            var character = text[index];
            if (char.IsHighSurrogate(character) && index + 1 < text.Length && char.IsLowSurrogate(text[index + 1]))
            {
                escaped.Append(character).Append(text[++index]);
                continue;
            }

            _ = character switch
            {
                '&' => escaped.Append("&amp;"),
                '<' => escaped.Append("&lt;"),
                '>' => escaped.Append("&gt;"),
                '"' => escaped.Append("&quot;"),
                '\'' => escaped.Append("&#39;"),
                _ when IsAllowed(character) => escaped.Append(character),
                _ => escaped.Append('\ufffd'),
            };
        }

        return escaped.ToString();
    }

    /// <summary>Text on one line, cut to a length, escaped.</summary>
    public static string Snippet(string text, int length)
    {
        var line = string.Join(' ', text.Length > length * 4 ? Words(text[..(length * 4)]) : Words(text));
        if (line.Length <= length)
        {
            return Escape(line);
        }

        var end = char.IsHighSurrogate(line[length - 1]) ? length - 1 : length;
        return Escape(line[..end]) + "…";
    }

    /// <summary>1,234,567.</summary>
    public static string Count(long value) => value.ToString("N0", CultureInfo.InvariantCulture);

    /// <summary>A share as 12.3 %, small ones with more digits.</summary>
    public static string Percent(double share) => (share * 100).ToString(Math.Abs(share) is < 0.01 and >= 0.00005 ? "0.##" : "0.0;-0.0;0.0", CultureInfo.InvariantCulture) + "\u00a0%";

    /// <summary>Three significant digits.</summary>
    public static string Number(double value) => value.ToString("G3", CultureInfo.InvariantCulture);

    /// <summary>Three digits after the point, for cosines.</summary>
    public static string Cosine(double value) => value.ToString("0.000", CultureInfo.InvariantCulture);

    /// <summary>A coordinate of a drawing.</summary>
    public static string Pixel(double value) => value.ToString("0.#", CultureInfo.InvariantCulture);

    /// <summary>A count with its unit, in the singular where it is one.</summary>
    public static string Of(long count, string unit) => $"{Count(count)}\u00a0{(count == 1 ? unit : unit + "s")}";

    private static string[] Words(string text) => text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);

    // Overrides of the writing direction are left out with the control characters: they would turn the line around them.
    private static bool IsAllowed(char character) =>
        character is '\t' or '\n' || (character >= ' ' && !char.IsControl(character) && !char.IsSurrogate(character)
            && character is not ((>= '\u202a' and <= '\u202e') or (>= '\u2066' and <= '\u2069') or '\ufffe' or '\uffff'));
}
