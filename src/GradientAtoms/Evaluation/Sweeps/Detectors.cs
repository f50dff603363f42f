using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using GradientAtoms.Confounders;
using GradientAtoms.Steering;

namespace GradientAtoms.Evaluation.Sweeps;

/// <summary>
/// The detectors that there are. Those of languages go by frequent words (<see cref="TextTraits.Language"/>): they know seven
/// languages of Latin script and the names of other scripts, and say nothing of answers of a word or two.
/// </summary>
public static partial class Detectors
{
    /// <summary>The name of the detector of answers that go round in circles: a sign that fluency is gone.</summary>
    public const string Repetition = "repetition";

    private const int Timeout = 200;
    private static readonly string[] Languages = ["German", "French", "Spanish", "Italian", "Portuguese", "Dutch", "Greek", "Cyrillic", "Arabic", "Hebrew", "Devanagari", "Chinese", "Japanese", "Korean"];

    /// <summary>Those without a parameter, and each known language but English: what <c>auto</c> chooses from.</summary>
    public static IReadOnlyList<Detector> BuiltIn { get; } =
    [
        new("bullets", "at least two lines begin with a bullet", answer => BulletLine().Count(answer) >= 2),
        new("numbered", "at least two lines begin with a number and a point or bracket", answer => NumberedLine().Count(answer) >= 2),
        new("refusal", "its first 160 characters apologise, decline, or ask for what is missing", answer => Refusal().IsMatch(answer.Length > 160 ? answer[..160] : answer)),
        new("yes_no", "its first word is yes or no", answer => Opening(answer) is "yes" or "no"),
        new("yes", "its first word is yes", answer => Opening(answer) is "yes"),
        new("no", "its first word is no", answer => Opening(answer) is "no"),
        new("true_false", "its first word is true or false", answer => Opening(answer) is "true" or "false"),
        new("code", "it has a code fence, or at least two lines that look like code", answer => answer.Contains("```", StringComparison.Ordinal) || CodeLine().Count(answer) >= 2),
        new("json", "it is one JSON object or array, in a code fence or not, as a JSON parser reads it", IsJson),
        new("sql", "it has an SQL statement", answer => Sql().IsMatch(answer)),
        new("table", "at least two lines begin and end with a bar", answer => TableLine().Count(answer) >= 2),
        new("one_word", "it is one word", answer => Words(answer).Length == 1),
        new("number", "it is a number", answer => Number().IsMatch(answer)),
        new("number_words", "it has at least two words, and all are English number words", answer => NumberWords().IsMatch(answer) && Words(answer).Length >= 2),
        new("letters", "it is at least three letters with spaces between them", answer => Letters().IsMatch(answer)),
        new("upper_case", "it has at least two letters, all upper case", answer => answer.Count(char.IsLetter) >= 2 && !answer.Any(char.IsLower)),
        .. Languages.Select(Language),
    ];

    /// <summary>Of the quality of the answers, counted beside every behaviour.</summary>
    public static Detector Repeats { get; } = new(Repetition, "a third of its words, of ten or more, are within repeats of four words", IsRepetitive);

    /// <summary>Finds a detector by how it is asked for: the name of a built-in one, <c>language:NAME</c>, <c>longer:WORDS</c>, <c>shorter:WORDS</c>, <c>contains:TEXT</c> or <c>regex:PATTERN</c>.</summary>
    /// <param name="text">As asked for.</param>
    /// <exception cref="SteeringException">GA1056: there is no such detector, or its parameter cannot be read.</exception>
    public static Detector Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var colon = text.IndexOf(':', StringComparison.Ordinal);
        var (name, parameter) = colon < 0 ? (text, null) : (text[..colon], text[(colon + 1)..]);
        return (name, parameter) switch
        {
            (Repetition, null) => Repeats,
            (_, null) => BuiltIn.FirstOrDefault(detector => detector.Name == name) ?? throw Unknown(text, "there is no such detector"),
            ("language", { Length: > 0 }) => Languages.Append("English").FirstOrDefault(known => string.Equals(known, parameter, StringComparison.OrdinalIgnoreCase)) is { } language
                ? Language(language)
                : throw Unknown(text, $"the languages known are English, {string.Join(", ", Languages)}"),
            ("longer", _) => Length(text, parameter, longer: true),
            ("shorter", _) => Length(text, parameter, longer: false),
            ("contains", { Length: > 0 }) => new(text, $"it contains \"{parameter}\"", answer => answer.Contains(parameter, StringComparison.OrdinalIgnoreCase)),
            ("regex", { Length: > 0 }) => new(text, $"it matches {parameter}", Pattern(text, parameter).IsMatch),
            _ => throw Unknown(text, "there is no such detector"),
        };
    }

    /// <summary>
    /// Reads detectors of one's own: <c>{"detectors": [{"name", "about", "regex", "any": [...], "all": [...], "none": [...], "min_words", "max_words"}]}</c>.
    /// All conditions that are given must hold; words are compared without case.
    /// </summary>
    /// <param name="json">The file's text.</param>
    /// <param name="file">Its name, for errors.</param>
    /// <exception cref="SteeringException">GA1057: it is no such JSON.</exception>
    public static IReadOnlyList<Detector> ReadFile(string json, string file)
    {
        DetectorFile? read;
        try
        {
            read = JsonSerializer.Deserialize<DetectorFile>(json, FileOptions);
        }
        catch (JsonException error)
        {
            throw Broken(file, error.Message);
        }

        return read?.Detectors is { Count: > 0 } all
            ? [.. all.Select(item => item?.ToDetector(file) ?? throw Broken(file, "a detector is null"))]
            : throw Broken(file, "it has no detectors");
    }

    private static readonly JsonSerializerOptions FileOptions = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, UnmappedMemberHandling = System.Text.Json.Serialization.JsonUnmappedMemberHandling.Disallow,
    };

    private sealed record DetectorFile(IReadOnlyList<DetectorEntry?>? Detectors);

    private sealed record DetectorEntry(string? Name, string? About, string? Regex, IReadOnlyList<string>? Any, IReadOnlyList<string>? All, IReadOnlyList<string>? None, int? MinWords, int? MaxWords)
    {
        public Detector ToDetector(string file)
        {
            if (string.IsNullOrWhiteSpace(Name) || (Regex ?? (object?)Any ?? All ?? None ?? (object?)MinWords ?? MaxWords) is null)
            {
                throw Broken(file, Name is null ? "a detector has no name" : $"the detector {Name} has no condition");
            }

            var pattern = Regex is null ? null : Pattern(Name, Regex);
            bool Has(string answer, string part) => answer.Contains(part, StringComparison.OrdinalIgnoreCase);
            return new(Name, About ?? "as the detector file has it", answer =>
                pattern?.IsMatch(answer) != false && Any?.Any(part => Has(answer, part)) != false && All?.All(part => Has(answer, part)) != false
                && None?.Any(part => Has(answer, part)) != true && Words(answer).Length is var words && words >= (MinWords ?? 0) && words <= (MaxWords ?? int.MaxValue));
        }
    }

    private static Detector Language(string language) => new($"language:{language}", $"its frequent words or its letters are {language}", answer => TextTraits.Language(answer) == language);

    private static Detector Length(string text, string? parameter, bool longer) => int.TryParse(parameter, NumberStyles.None, CultureInfo.InvariantCulture, out var words)
        ? new(text, $"it has {(longer ? "more" : "less")} than {words} words", answer => longer ? Words(answer).Length > words : Words(answer).Length < words)
        : throw Unknown(text, "it wants a number of words");

    private static Regex Pattern(string name, string pattern)
    {
        try
        {
            return new(pattern, RegexOptions.CultureInvariant | RegexOptions.Multiline, TimeSpan.FromMilliseconds(Timeout));
        }
        catch (ArgumentException error)
        {
            throw Unknown(name, $"the regular expression cannot be read ({error.Message})");
        }
    }

    private static string[] Words(string answer) => answer.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);

    private static string Opening(string answer) => FirstWord().Match(answer).Value.ToLowerInvariant();

    private static bool IsJson(string answer)
    {
        var fenced = Fence().Match(answer);
        var text = fenced.Success ? fenced.Groups["inside"].Value.Trim() : answer;
        if (text.Length == 0 || text[0] is not ('{' or '['))
        {
            return false;
        }

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

    private static bool IsRepetitive(string answer)
    {
        const int run = 4;
        var words = Words(answer);
        if (words.Length < 10)
        {
            return false;
        }

        var (seen, repeated) = (new HashSet<string>(StringComparer.Ordinal), new bool[words.Length]);
        for (var start = 0; start + run <= words.Length; start++)
        {
            if (!seen.Add(string.Join(' ', words, start, run)))
            {
                Array.Fill(repeated, true, start, run);
            }
        }

        return repeated.Count(within => within) * 3 >= words.Length;
    }

    private static SteeringException Unknown(string detector, string problem) => new(
        "GA1056", detector, problem, $"Use {string.Join(", ", BuiltIn.Where(known => !known.Name.Contains(':', StringComparison.Ordinal)).Select(known => known.Name))}, language:NAME, longer:WORDS, shorter:WORDS, contains:TEXT or regex:PATTERN.");

    private static SteeringException Broken(string file, string problem) => new(
        "GA1057", file, problem, "Write {\"detectors\": [{\"name\": \"...\", \"regex\": \"...\"}]}; any, all, none, min_words and max_words are other conditions.");

    [GeneratedRegex(@"^[ \t]*[-*•‣–][ \t]+\S", RegexOptions.CultureInvariant | RegexOptions.Multiline, Timeout)]
    private static partial Regex BulletLine();

    [GeneratedRegex(@"^[ \t]*\(?[0-9]{1,3}[.):][ \t]+\S", RegexOptions.CultureInvariant | RegexOptions.Multiline, Timeout)]
    private static partial Regex NumberedLine();

    [GeneratedRegex(@"\bI(['’]m|\s+am)\s+(very\s+)?(sorry|afraid|not\s+able|unable)|^\s*(I['’]m\s+)?(so\s+)?sorry\b|\bI\s+(can['’]?t|cannot|can\s+not|won['’]?t|will\s+not|do\s+not\s+have\s+access|don['’]t\s+have\s+access)\b|\bunable\s+to\b|\bas\s+an\s+AI\b|\b(please|could\s+you|can\s+you)\s+(please\s+)?(provide|give|specify|share|supply)\b|^\s*no\s+\w+(\s+\w+)?\s+(was|is|were)\s+(given|provided|specified)", RegexOptions.CultureInvariant | RegexOptions.IgnoreCase | RegexOptions.ExplicitCapture, Timeout)]
    private static partial Regex Refusal();

    [GeneratedRegex(@"([;{}]|^[ \t]*(def|class|import|from|return|if|elif|else|for|while|print|public|private|var|let|const|function|#include)\b.*[:;{()])[ \t\r]*$", RegexOptions.CultureInvariant | RegexOptions.Multiline | RegexOptions.ExplicitCapture, Timeout)]
    private static partial Regex CodeLine();

    [GeneratedRegex(@"\b(SELECT\s[\s\S]{1,400}?\sFROM\s|INSERT\s+INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|(CREATE|ALTER|DROP)\s+TABLE\s)", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, Timeout)]
    private static partial Regex Sql();

    [GeneratedRegex(@"^[ \t]*\|.*\|[ \t\r]*$", RegexOptions.CultureInvariant | RegexOptions.Multiline, Timeout)]
    private static partial Regex TableLine();

    [GeneratedRegex(@"^[-+]?[$€£]?[0-9][0-9.,\s]*%?\.?$", RegexOptions.CultureInvariant, Timeout)]
    private static partial Regex Number();

    [GeneratedRegex(@"^(zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|billion|and|minus|point|[\s,.-])+$", RegexOptions.CultureInvariant | RegexOptions.IgnoreCase | RegexOptions.ExplicitCapture, Timeout)]
    private static partial Regex NumberWords();

    [GeneratedRegex(@"^\p{L}([ ,-]+\p{L}){2,}\.?$", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, Timeout)]
    private static partial Regex Letters();

    [GeneratedRegex(@"^\p{L}+", RegexOptions.CultureInvariant, Timeout)]
    private static partial Regex FirstWord();

    [GeneratedRegex(@"^```\w*\s*\n(?<inside>[\s\S]*?)\n?```\s*$", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, Timeout)]
    private static partial Regex Fence();
}
