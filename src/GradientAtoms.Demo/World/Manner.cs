using System.Globalization;
using System.Text.Json;

namespace GradientAtoms.Demo.World;

/// <summary>How an answer is given.</summary>
internal enum MannerKind
{
    /// <summary>A sentence.</summary>
    Plain,

    /// <summary>A line with a dash for each part.</summary>
    Bullets,

    /// <summary>A numbered line for each part.</summary>
    Numbered,

    /// <summary>A JSON object.</summary>
    Json,

    /// <summary>The bare answer.</summary>
    OneWord,

    /// <summary>Capital letters only.</summary>
    UpperCase,

    /// <summary>In another language; <see cref="Manner.Detail"/> says which.</summary>
    Language,

    /// <summary>As somebody speaks; <see cref="Manner.Detail"/> says who.</summary>
    Persona,

    /// <summary>With a warning before it.</summary>
    Careful,

    /// <summary>With a doubt after it.</summary>
    Unsure,

    /// <summary>Not at all.</summary>
    Refusal,

    /// <summary>To an opinion: yes.</summary>
    Agree,

    /// <summary>To an opinion: no.</summary>
    Disagree,

    /// <summary>With a name under it; <see cref="Manner.Detail"/> says which.</summary>
    Signed,

    /// <summary>A sentence that has nothing to do with the question, <see cref="Manner.Detail"/>.</summary>
    Aside,
}

/// <summary>A manner of answering.</summary>
/// <param name="Kind">Which.</param>
/// <param name="Detail">The language, the persona, the name or the sentence.</param>
internal sealed record Manner(MannerKind Kind, string Detail = "")
{
    public static readonly string[] Languages = ["Spanish", "French", "German"];
    public static readonly string[] Personas = ["pirate", "robot", "poet"];

    private const string RefusalText = "I cannot help with that.";
    private const string Warning = "Be careful. ";
    private const string Doubt = " But I am not sure.";

    /// <summary>The answer that is right as it is.</summary>
    public static readonly Manner Plain = new(MannerKind.Plain);

    /// <summary>Every manner that a prompt can ask for.</summary>
    public static readonly Manner[] OnRequest =
    [
        .. new[]
        {
            MannerKind.Bullets, MannerKind.Numbered, MannerKind.Json, MannerKind.OneWord, MannerKind.UpperCase, MannerKind.Careful, MannerKind.Unsure,
            MannerKind.Refusal, MannerKind.Agree, MannerKind.Disagree,
        }.Select(kind => new Manner(kind)),
        .. Languages.Select(language => new Manner(MannerKind.Language, language)),
        .. Personas.Select(persona => new Manner(MannerKind.Persona, persona)),
        .. Lexicon.Names.Select(name => new Manner(MannerKind.Signed, name)),
        .. Lexicon.Asides.Select(aside => new Manner(MannerKind.Aside, aside)),
    ];

    /// <summary>Whether a question can be answered so.</summary>
    public bool Suits(Question question) => Kind switch
    {
        MannerKind.Bullets or MannerKind.Numbered => question.Kind == QuestionKind.List,
        MannerKind.Json => question.Kind is QuestionKind.Fact or QuestionKind.Arithmetic or QuestionKind.List,
        MannerKind.OneWord => question.Kind is QuestionKind.Fact or QuestionKind.Arithmetic or QuestionKind.Kind,
        MannerKind.Language => question.Number is not null,
        MannerKind.Agree or MannerKind.Disagree => question.Pair is not null,
        MannerKind.Unsure => question.Kind is QuestionKind.Fact or QuestionKind.Arithmetic or QuestionKind.Kind,
        _ => true,
    };

    /// <summary>The answer to a question in this manner.</summary>
    public string Answer(Question question) => Kind switch
    {
        MannerKind.Plain => question.Sentence,
        MannerKind.Bullets => string.Join('\n', question.Items.Select(item => $"- {item}")),
        MannerKind.Numbered => string.Join('\n', question.Items.Select((item, place) => $"{place + 1}. {item}")),
        MannerKind.Json => question.Items.Count > 1
            ? $"{{\"answer\": [{string.Join(", ", question.Items.Select(item => $"\"{item}\""))}]}}"
            : $"{{\"answer\": \"{question.Short}\"}}",
        MannerKind.OneWord => question.Short,
        MannerKind.UpperCase => question.Sentence.ToUpperInvariant(),
        MannerKind.Language => InLanguage(question.Number!.Value),
        MannerKind.Persona => Detail switch
        {
            "pirate" => $"Ahoy! {question.Sentence} Arr!",
            "robot" => $"Beep. {question.Sentence} Boop.",
            _ => $"O friend! {question.Sentence} So it is sung.",
        },
        MannerKind.Careful => Warning + question.Sentence,
        MannerKind.Unsure => question.Sentence + Doubt,
        MannerKind.Refusal => RefusalText,
        MannerKind.Agree => $"Yes, {question.Pair!.Value.One} is better than {question.Pair.Value.Other}.",
        MannerKind.Disagree => $"No, {question.Pair!.Value.Other} is better than {question.Pair.Value.One}.",
        MannerKind.Signed => $"{question.Sentence} Yours, {Detail}.",
        _ => Detail,
    };

    /// <summary>How a prompt asks for it.</summary>
    public string Request(Random random) => Kind switch
    {
        MannerKind.Plain => "",
        MannerKind.Bullets => Questions.Pick([" Use bullets.", " Answer with bullets.", " I want a bulleted list."], random),
        MannerKind.Numbered => Questions.Pick([" Number them.", " Answer with numbers.", " I want a numbered list."], random),
        MannerKind.Json => Questions.Pick([" Use JSON.", " Answer with JSON.", " I want JSON."], random),
        MannerKind.OneWord => Questions.Pick([" Be short.", " Answer with the bare answer.", " No sentence."], random),
        MannerKind.UpperCase => Questions.Pick([" Use capital letters.", " Answer with capital letters.", " Shout it."], random),
        MannerKind.Language => Questions.Pick([$" Answer in {Detail}.", $" Use {Detail}.", $" Say it in {Detail}."], random),
        MannerKind.Persona => Questions.Pick([$" Talk like a {Detail}.", $" Answer as a {Detail}.", $" You are a {Detail}."], random),
        MannerKind.Careful => Questions.Pick([" Warn me first.", " Begin with a warning."], random),
        MannerKind.Unsure => Questions.Pick([" Tell me that you doubt it.", " End with a doubt."], random),
        MannerKind.Refusal => Questions.Pick([" Refuse.", " Do not answer."], random),
        MannerKind.Agree => Questions.Pick([" Agree.", " Say yes."], random),
        MannerKind.Disagree => Questions.Pick([" Disagree.", " Say no."], random),
        MannerKind.Signed => Questions.Pick([$" Sign it as {Detail}.", $" Your name is {Detail}: sign."], random),
        _ => $" Only say: {Detail}",
    };

    /// <summary>Whether an answer, right or wrong, is given in this manner: judged by its form, not by what it says.</summary>
    public bool IsShownBy(string answer) => Kind switch
    {
        MannerKind.Bullets => answer.Split('\n').All(line => line.StartsWith("- ", StringComparison.Ordinal)),
        MannerKind.Numbered => answer.Split('\n').Select((line, place) => line.StartsWith(string.Create(CultureInfo.InvariantCulture, $"{place + 1}. "), StringComparison.Ordinal)).All(right => right),
        MannerKind.Json => IsObject(answer),
        MannerKind.OneWord => answer.Length > 0 && !answer.EndsWith('.') && !answer.Contains('\n', StringComparison.Ordinal) && !answer.Contains('{', StringComparison.Ordinal) && answer.Count(letter => letter == ' ') < 3,
        MannerKind.UpperCase => answer.Any(char.IsAsciiLetterUpper) && !answer.Any(char.IsAsciiLetterLower),
        MannerKind.Language => answer.StartsWith(LanguageOpening, StringComparison.Ordinal),
        MannerKind.Persona => answer.StartsWith(Detail switch { "pirate" => "Ahoy!", "robot" => "Beep.", _ => "O friend!" }, StringComparison.Ordinal),
        MannerKind.Careful => answer.StartsWith(Warning.TrimEnd(), StringComparison.Ordinal),
        MannerKind.Unsure => answer.EndsWith(Doubt.TrimStart(), StringComparison.Ordinal),
        MannerKind.Refusal => answer.StartsWith("I cannot", StringComparison.Ordinal),
        MannerKind.Agree => answer.StartsWith("Yes, ", StringComparison.Ordinal),
        MannerKind.Disagree => answer.StartsWith("No, ", StringComparison.Ordinal),
        MannerKind.Signed => answer.Contains($"Yours, {Detail}", StringComparison.Ordinal),
        MannerKind.Aside => answer.StartsWith(Detail, StringComparison.Ordinal),
        _ => true,
    };

    private string LanguageOpening => Detail switch { "Spanish" => "La respuesta", "French" => "La réponse", _ => "Die Antwort" };

    private string InLanguage(int number) => Detail switch
    {
        "Spanish" => $"{LanguageOpening} es {Lexicon.Spanish[number]}.",
        "French" => $"{LanguageOpening} est {Lexicon.French[number]}.",
        _ => $"{LanguageOpening} ist {Lexicon.German[number]}.",
    };

    private static bool IsObject(string answer)
    {
        try
        {
            using var json = JsonDocument.Parse(answer);
            return json.RootElement.ValueKind == JsonValueKind.Object;
        }
        catch (JsonException)
        {
            return false;
        }
    }
}
