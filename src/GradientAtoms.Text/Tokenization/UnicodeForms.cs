using System.Globalization;
using System.Runtime.InteropServices;

namespace GradientAtoms.Text.Tokenization;

/// <summary>
/// Unicode's normalization forms (Unicode Standard Annex 15) over code points, with a count of what each result replaces.
/// </summary>
/// <remarks>.NET's own <c>Normalize</c> needs ICU and changes nothing under invariant globalization.</remarks>
internal static class UnicodeForms
{
    private const int HangulFirst = 0xAC00;
    private const int HangulCount = 11172;
    private const int LeadFirst = 0x1100;
    private const int VowelFirst = 0x1161;
    private const int TailFirst = 0x11A7;
    private const int LeadCount = 19;
    private const int VowelCount = 21;
    private const int TailCount = 28;

    private static readonly Lazy<Tables> Data = new(Read);

    /// <summary>Whether no form changes the text: it is all ASCII.</summary>
    public static bool IsPlain(ReadOnlySpan<int> text) => !text.ContainsAnyExceptInRange(0, 0x7F);

    /// <summary>Normalizes a text.</summary>
    /// <param name="text">Code points.</param>
    /// <param name="compose">NFC and NFKC rather than NFD and NFKD.</param>
    /// <param name="compatibility">NFKC and NFKD rather than NFC and NFD.</param>
    /// <returns>The result, and for each of its code points how many of the text's it took (0 for one inserted).</returns>
    public static List<(int Code, int Taken)> Normalize(ReadOnlySpan<int> text, bool compose, bool compatibility)
    {
        var tables = Data.Value;
        var marks = new List<Mark>(text.Length + 8);
        foreach (var code in text)
        {
            var first = marks.Count;
            Decompose(code, compatibility, tables, marks);
            marks[first] = marks[first] with { Taken = 1 };
        }

        Order(marks);
        if (compose)
        {
            Compose(marks, tables);
        }

        return marks.ConvertAll(static mark => (mark.Code, mark.Taken));
    }

    private static void Decompose(int code, bool compatibility, Tables tables, List<Mark> marks)
    {
        var syllable = code - HangulFirst;
        if (syllable is >= 0 and < HangulCount)
        {
            marks.Add(new Mark(LeadFirst + (syllable / (VowelCount * TailCount)), 0, 0));
            marks.Add(new Mark(VowelFirst + (syllable % (VowelCount * TailCount) / TailCount), 0, 0));
            if (syllable % TailCount != 0)
            {
                marks.Add(new Mark(TailFirst + (syllable % TailCount), 0, 0));
            }
        }
        else if (tables.Canonical.TryGetValue(code, out var parts)
            || (compatibility && tables.Compatibility.TryGetValue(code, out parts)))
        {
            foreach (var part in parts)
            {
                Decompose(part, compatibility, tables, marks);
            }
        }
        else
        {
            marks.Add(new Mark(code, 0, tables.Classes.GetValueOrDefault(code)));
        }
    }

    /// <summary>Sorts marks between two starters by class, equal ones in their order.</summary>
    private static void Order(List<Mark> marks)
    {
        for (var i = 1; i < marks.Count; i++)
        {
            var mark = marks[i];
            var to = i;
            while (mark.Class != 0 && to > 0 && marks[to - 1].Class > mark.Class)
            {
                marks[to] = marks[to - 1];
                to--;
            }

            marks[to] = mark;
        }
    }

    private static void Compose(List<Mark> marks, Tables tables)
    {
        var starter = -1;
        var kept = 0;
        for (var i = 0; i < marks.Count; i++)
        {
            var mark = marks[i];

            // A mark is blocked from its starter by one in between of the same or a higher class.
            var free = starter >= 0 && (kept == starter + 1 || marks[kept - 1].Class < mark.Class);
            if (free && TryCompose(marks[starter].Code, mark.Code, tables) is { } composed)
            {
                marks[starter] = new Mark(composed, marks[starter].Taken + mark.Taken, 0);
                continue;
            }

            if (mark.Class == 0)
            {
                starter = kept;
            }

            marks[kept++] = mark;
        }

        marks.RemoveRange(kept, marks.Count - kept);
    }

    private static int? TryCompose(int first, int second, Tables tables)
    {
        if (first - LeadFirst is >= 0 and < LeadCount and var lead && second - VowelFirst is >= 0 and < VowelCount and var vowel)
        {
            return HangulFirst + (((lead * VowelCount) + vowel) * TailCount);
        }

        if (first - HangulFirst is >= 0 and < HangulCount and var syllable
            && syllable % TailCount == 0
            && second - TailFirst is > 0 and < TailCount and var tail)
        {
            return first + tail;
        }

        return tables.Composed.TryGetValue((first, second), out var composed) ? composed : null;
    }

    private static Tables Read()
    {
        var tables = new Tables([], [], [], []);
        using var stream = typeof(UnicodeForms).Assembly.GetManifestResourceStream("UnicodeForms.txt")
            ?? throw new InvalidOperationException("the assembly lacks its resource UnicodeForms.txt");
        using var reader = new StreamReader(stream);
        while (reader.ReadLine() is { } line)
        {
            var fields = line.Split(' ');
            switch (fields[0])
            {
                case "C":
                    var range = fields[1].Split('-');
                    for (var code = Hex(range[0]); code <= Hex(range[1]); code++)
                    {
                        tables.Classes[code] = int.Parse(fields[2], CultureInfo.InvariantCulture);
                    }

                    break;
                case "K":
                    tables.Compatibility[Hex(fields[1])] = [.. fields[2..].Select(Hex)];
                    break;
                case "D" or "X":
                    int[] parts = [.. fields[2..].Select(Hex)];
                    tables.Canonical[Hex(fields[1])] = parts;
                    if (fields[0] == "D")
                    {
                        tables.Composed[(parts[0], parts[1])] = Hex(fields[1]);
                    }

                    break;
            }
        }

        return tables;
    }

    private static int Hex(string text) => int.Parse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);

    private sealed record Tables(
        Dictionary<int, int> Classes,
        Dictionary<int, int[]> Canonical,
        Dictionary<int, int[]> Compatibility,
        Dictionary<(int First, int Second), int> Composed);

    [StructLayout(LayoutKind.Auto)]
    private readonly record struct Mark(int Code, int Taken, int Class);
}
