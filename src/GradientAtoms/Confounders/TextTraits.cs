using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace GradientAtoms.Confounders;

/// <summary>Plain traits of a text, by rules that anyone can check: what form it has, and what language it is in.</summary>
public static partial class TextTraits
{
    // The most frequent words that tell these languages from each other; a word that two of them have counts for both.
    private static readonly (string Language, HashSet<string> Words)[] FrequentWords =
    [
        ("English", Split("the and of to is in that it for with are was you this be on not have an as at by from or which")),
        ("German", Split("der die das und ist nicht ein eine zu den von mit sich des auf für im dem auch es wird sind als oder wie")),
        ("French", Split("le la les et est des une un que qui dans pour pas du ce il sur avec sont au plus par nous vous")),
        ("Spanish", Split("el la los las y es de que en un una por con para no se del al lo como más su pero son")),
        ("Italian", Split("il la che di e è un una per non sono con del della i gli le da nel al come più si ma")),
        ("Portuguese", Split("o a os as e é que de do da em um uma para não com por se dos no na mais como são")),
        ("Dutch", Split("de het een en van is dat niet te op zijn voor met die er aan om ook als maar bij wordt naar")),
    ];

    /// <summary>The form of an answer: <c>json</c>, <c>code</c>, <c>table</c>, <c>bullets</c>, <c>numbered list</c>, <c>headings</c>, <c>number</c>, <c>one word</c>, <c>one line</c>, <c>lines</c> or <c>paragraphs</c>; the first that fits.</summary>
    /// <param name="text">The text.</param>
    public static string Format(string text)
    {
        var trimmed = text.Trim();
        if (trimmed.Length == 0)
            return "empty";
        if (IsJson(trimmed))
            return "json";
        string[] lines = [.. trimmed.Split('\n').Select(line => line.Trim()).Where(line => line.Length > 0)];
        if (trimmed.Contains("```", StringComparison.Ordinal) || (lines.Length > 1 && Count(lines, CodeLine()) * 2 > lines.Length))
            return "code";
        if (Count(lines, TableLine()) >= 2)
            return "table";
        if (Count(lines, BulletLine()) >= 2)
            return "bullets";
        if (Count(lines, NumberedLine()) >= 2)
            return "numbered list";
        if (Count(lines, HeadingLine()) >= 1)
            return "headings";
        if (Number().IsMatch(trimmed))
            return "number";
        if (!trimmed.Any(char.IsWhiteSpace))
            return "one word";
        return lines.Length == 1 ? "one line" : ParagraphBreak().IsMatch(trimmed) ? "paragraphs" : "lines";
    }

    /// <summary>
    /// The language of a text: of Latin script by its most frequent words (English, German, French, Spanish, Italian, Portuguese,
    /// Dutch), of other scripts the script's name; null where too little of it tells.
    /// </summary>
    /// <param name="text">The text.</param>
    public static string? Language(string text)
    {
        var script = Script(text);
        if (script != "Latin")
            return script;
        var words = Atoms.Keywords.Words(text).Take(400).ToArray();
        var scores = FrequentWords.Select(entry => (entry.Language, Hits: words.Count(entry.Words.Contains))).OrderByDescending(entry => entry.Hits).ToArray();

        // Two hits and a clear lead: one word is often another language's too.
        return scores[0].Hits >= 2 && scores[0].Hits > scores[1].Hits ? scores[0].Language : null;
    }

    private static string? Script(string text)
    {
        var counts = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var rune in text.EnumerateRunes().Where(Rune.IsLetter))
        {
            var script = rune.Value switch
            {
                < 0x250 or (>= 0x1E00 and < 0x1F00) => "Latin",
                < 0x400 => "Greek",
                < 0x530 => "Cyrillic",
                < 0x590 => "Armenian",
                < 0x600 => "Hebrew",
                (< 0x780 and >= 0x600) or (>= 0xFB50 and < 0xFE00) => "Arabic",
                >= 0x900 and < 0x980 => "Devanagari",
                >= 0x980 and < 0xA00 => "Bengali",
                >= 0xB80 and < 0xC00 => "Tamil",
                >= 0xE00 and < 0xE80 => "Thai",
                >= 0x10A0 and < 0x1100 => "Georgian",
                (>= 0x3040 and < 0x3100) or (>= 0x31F0 and < 0x3200) => "Japanese",
                (>= 0x1100 and < 0x1200) or (>= 0xAC00 and < 0xD7B0) => "Korean",
                (>= 0x3400 and < 0xA000) or (>= 0x20000 and < 0x32400) => "Chinese",
                _ => "another script",
            };
            counts[script] = counts.GetValueOrDefault(script) + 1;
        }

        // A text with kana is Japanese however many of its letters are Chinese.
        if (counts.GetValueOrDefault("Japanese") * 10 > counts.Values.Sum())
            return "Japanese";
        return counts.Count == 0 ? null : counts.OrderByDescending(entry => entry.Value).ThenBy(entry => entry.Key, StringComparer.Ordinal).First().Key;
    }

    private static bool IsJson(string text)
    {
        if (text[0] is not ('{' or '['))
            return false;
        try
        {
            using var parsed = JsonDocument.Parse(text);
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static int Count(string[] lines, Regex form) => lines.Count(line => form.IsMatch(line));

    private static HashSet<string> Split(string words) => [.. words.Split(' ')];

    [GeneratedRegex(@"[;{}]$|^(def|class|import|from|return|if|for|while|public|private|var|let|const|function|#include)\b.*[:;{(]|^SELECT\b|^\}", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex CodeLine();

    [GeneratedRegex(@"^\|.*\|$", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex TableLine();

    [GeneratedRegex(@"^[-*•‣–]\s+\S", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex BulletLine();

    [GeneratedRegex(@"^\(?[0-9]{1,3}[.):]\s+\S", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex NumberedLine();

    [GeneratedRegex(@"^#{1,6}\s+\S", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex HeadingLine();

    [GeneratedRegex(@"^[-+]?[$€£]?[0-9][0-9.,\s]*%?$", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex Number();

    [GeneratedRegex(@"\n[ \t]*\r?\n", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex ParagraphBreak();
}
