using System.Globalization;
using System.Text;

namespace GradientAtoms.Text.ChatTemplates;

/// <summary>Python's ways with text where they differ from .NET's: positions are code points, and white space is a little wider.</summary>
internal static class PythonText
{
    public static bool IsSpace(char character) => char.IsWhiteSpace(character) || character is >= '\x1c' and <= '\x1f';

    /// <summary>Strips white space (<paramref name="characters"/> null) or any of the given characters.</summary>
    public static string Trim(string text, string? characters) => TrimEnd(TrimStart(text, characters), characters);

    public static string TrimStart(string text, string? characters)
    {
        var start = 0;
        while (start < text.Length && IsStripped(text, start, characters, out var length))
        {
            start += length;
        }

        return text[start..];
    }

    public static string TrimEnd(string text, string? characters)
    {
        var end = text.Length;
        while (end > 0)
        {
            var start = end > 1 && char.IsLowSurrogate(text[end - 1]) && char.IsHighSurrogate(text[end - 2]) ? end - 2 : end - 1;
            if (!IsStripped(text, start, characters, out _))
            {
                break;
            }

            end = start;
        }

        return text[..end];
    }

    private static bool IsStripped(string text, int index, string? characters, out int length)
    {
        length = index + 1 < text.Length && char.IsSurrogatePair(text, index) ? 2 : 1;
        return characters is null ? IsSpace(text[index]) : characters.Contains(text.Substring(index, length), StringComparison.Ordinal);
    }

    /// <summary>Length in code points.</summary>
    public static int Length(string text)
    {
        var length = text.Length;
        for (var index = 0; index + 1 < text.Length; index++)
        {
            if (char.IsSurrogatePair(text[index], text[index + 1]))
            {
                length--;
                index++;
            }
        }

        return length;
    }

    /// <summary>The code points, each as a string.</summary>
    public static List<object?> CodePoints(string text)
    {
        var points = new List<object?>(text.Length);
        for (var index = 0; index < text.Length; index++)
        {
            var length = index + 1 < text.Length && char.IsSurrogatePair(text[index], text[index + 1]) ? 2 : 1;
            points.Add(text.Substring(index, length));
            index += length - 1;
        }

        return points;
    }

    /// <summary>From a position in code points to one in UTF-16 units.</summary>
    public static int ToUnits(string text, int codePoints)
    {
        var index = 0;
        for (; codePoints > 0 && index < text.Length; codePoints--)
        {
            index += index + 1 < text.Length && char.IsSurrogatePair(text[index], text[index + 1]) ? 2 : 1;
        }

        return index;
    }

    /// <summary>From a position in UTF-16 units to one in code points.</summary>
    public static int ToCodePoints(string text, int units) => Length(text[..units]);

    /// <summary>Order by code points, which UTF-16's own is not for surrogates.</summary>
    public static int Compare(string left, string right)
    {
        var length = Math.Min(left.Length, right.Length);
        for (var index = 0; index < length; index++)
        {
            if (left[index] != right[index])
            {
                return Rank(left[index]).CompareTo(Rank(right[index]));
            }
        }

        return left.Length.CompareTo(right.Length);

        static int Rank(char unit) => char.IsSurrogate(unit) ? unit + 0x10000 : unit;
    }

    /// <summary>Python's <c>repr</c> of a float, which is also its <c>str</c>: the shortest digits that read back the same.</summary>
    public static string OfFloat(double value)
    {
        if (!double.IsFinite(value))
        {
            return double.IsNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
        }

        var shortest = value.ToString("E16", CultureInfo.InvariantCulture);
        for (var digits = 0; digits <= 16; digits++)
        {
            var candidate = value.ToString("E" + digits.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
            if (double.Parse(candidate, CultureInfo.InvariantCulture) == value)
            {
                shortest = candidate;
                break;
            }
        }

        var sign = double.IsNegative(value) ? "-" : "";
        var split = shortest.TrimStart('-').Split('E');
        var exponent = int.Parse(split[1], CultureInfo.InvariantCulture);
        var mantissa = split[0].Replace(".", "", StringComparison.Ordinal).TrimEnd('0');
        mantissa = mantissa.Length == 0 ? "0" : mantissa;
        if (exponent is < -4 or >= 16)
        {
            var fraction = mantissa.Length > 1 ? "." + mantissa[1..] : "";
            return $"{sign}{mantissa[0]}{fraction}e{(exponent < 0 ? "-" : "+")}{Math.Abs(exponent).ToString("00", CultureInfo.InvariantCulture)}";
        }

        return exponent < 0
            ? $"{sign}0.{new string('0', -exponent - 1)}{mantissa}"
            : mantissa.Length <= exponent + 1
                ? $"{sign}{mantissa.PadRight(exponent + 1, '0')}.0"
                : $"{sign}{mantissa[..(exponent + 1)]}.{mantissa[(exponent + 1)..]}";
    }

    /// <summary>Python's <c>repr</c> of a string: quoted, with escapes for what cannot be printed.</summary>
    public static void AppendQuoted(StringBuilder output, string text)
    {
        var quote = text.Contains('\'', StringComparison.Ordinal) && !text.Contains('"', StringComparison.Ordinal) ? '"' : '\'';
        output.Append(quote);
        for (var index = 0; index < text.Length; index++)
        {
            var unit = text[index];
            switch (unit)
            {
                case '\\': output.Append("\\\\"); continue;
                case '\n': output.Append("\\n"); continue;
                case '\r': output.Append("\\r"); continue;
                case '\t': output.Append("\\t"); continue;
                case ' ': output.Append(' '); continue;
            }

            if (unit == quote)
            {
                output.Append('\\').Append(unit);
                continue;
            }

            var rune = Rune.TryGetRuneAt(text, index, out var whole) ? whole : default(Rune?);
            var category = rune is { } known ? Rune.GetUnicodeCategory(known) : UnicodeCategory.Surrogate;
            if (category is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse
                or UnicodeCategory.OtherNotAssigned or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.SpaceSeparator)
            {
                var value = rune?.Value ?? unit;
                output.Append(value switch { <= 0xFF => "\\x", <= 0xFFFF => "\\u", _ => "\\U" })
                    .Append(value.ToString(value switch { <= 0xFF => "x2", <= 0xFFFF => "x4", _ => "x8" }, CultureInfo.InvariantCulture));
            }
            else
            {
                output.Append(text, index, rune?.Utf16SequenceLength ?? 1);
            }

            index += (rune?.Utf16SequenceLength ?? 1) - 1;
        }

        output.Append(quote);
    }
}
