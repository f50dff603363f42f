using System.Globalization;
using System.Text.Json;
using GradientAtoms.Atoms;
using GradientAtoms.Evaluation.Sweeps;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Runs.Sweeps;

/// <summary>Where a question comes from.</summary>
public enum SweepSource
{
    /// <summary>The user's file.</summary>
    File,

    /// <summary>A document that the dictionary was not learnt from.</summary>
    HeldOut,

    /// <summary>A document that it was learnt from.</summary>
    Learnt,
}

/// <summary>A question as it is asked.</summary>
/// <param name="Question">Its id, group and half.</param>
/// <param name="Prompt">For readers.</param>
/// <param name="Tokens">What the model is given.</param>
/// <param name="Source">Where it comes from.</param>
internal sealed record AskedQuestion(SweepQuestion Question, string Prompt, int[] Tokens, SweepSource Source);

/// <summary>Chooses the questions of a sweep.</summary>
internal sealed class SweepQuestions
{
    private const int TextPrompt = 32;

    private readonly RunSession _session;
    private readonly SweepOptions _options;
    private readonly IReadOnlyList<TokenizedDocument> _documents;
    private readonly IReadOnlyList<(string Id, string Prompt, int[] Tokens, SweepGroup Group, string? Pole)> _asked;
    private readonly int[] _shuffled;

    public SweepQuestions(RunSession session, SweepOptions options)
    {
        (_session, _options, _documents) = (session, options, session.Documents);
        _asked = options.Questions is { } file ? Read(file) : [];
        _shuffled = [.. Enumerable.Range(0, _documents.Count)];
        RandomStream.Integers(options.Seed, "sweep/controls").Shuffle(_shuffled);
    }

    /// <summary>The questions of a pole, and the documents whose likelihood tells the same: of its own, and of others.</summary>
    public IReadOnlyList<AskedQuestion> Of(Atom atom, Pole pole)
    {
        var asked = _asked.Where(question => question.Pole is null || question.Pole == pole.Id).ToLookup(question => question.Group, Asked);
        var (on, off) = (asked[SweepGroup.OnTarget].ToList(), asked[SweepGroup.OffTarget].ToList());
        var taken = on.Concat(off).Select(Text).ToHashSet(StringComparer.Ordinal);
        if (on.Count == 0)
        {
            on = Take(OwnDocuments(atom, pole), SweepGroup.OnTarget, taken);
        }

        if (off.Count == 0)
        {
            off = Take(OtherDocuments(atom), SweepGroup.OffTarget, taken);
        }

        // Every second one of each group chooses, so that both halves have strong and weak documents.
        return [.. new[] { on, off }.SelectMany(group => group.Select((item, place) =>
            item with { Question = item.Question with { Half = place % 2 == 0 ? SweepHalf.Choose : SweepHalf.Report } }))];
    }

    /// <summary>Documents of a pole, those that the dictionary has not seen first, the strongest of each first.</summary>
    public IReadOnlyList<int> OwnDocuments(Atom atom, Pole pole) =>
        [.. Codes(atom).Where(code => Math.Sign(code.Code) == pole.Sign)
            .OrderByDescending(code => _session.Texts[code.Document].HeldOut).ThenByDescending(code => Math.Abs(code.Code)).Select(code => code.Document)];

    /// <summary>Documents of other poles, those that the dictionary has not seen first; every pole gets them in the same order.</summary>
    public IReadOnlyList<int> OtherDocuments(Atom atom)
    {
        var own = Codes(atom).Select(code => code.Document).ToHashSet();
        return [.. _shuffled.Where(document => !own.Contains(document) && _session.Codes.AtomsOf(document).Length > 0).OrderByDescending(document => _session.Texts[document].HeldOut)];
    }

    public TokenizedDocument Document(int index) => _documents[index];

    private IEnumerable<(int Document, double Code)> Codes(Atom atom)
    {
        for (var document = 0; document < _documents.Count; document++)
        {
            var place = _session.Codes.AtomsOf(document).IndexOf(atom.Row);
            if (place >= 0)
            {
                yield return (document, _session.Codes.CodesOf(document)[place]);
            }
        }
    }

    private List<AskedQuestion> Take(IEnumerable<int> documents, SweepGroup group, HashSet<string> taken)
    {
        var found = new List<AskedQuestion>();
        foreach (var index in documents)
        {
            if (found.Count == _options.Count)
            {
                break;
            }

            var tokens = PromptOf(_documents[index]);
            if (tokens.Length > 0 && tokens.Length <= Math.Min(_options.MaxPromptTokens, _session.Model.Loaded.Model.ContextLength - _options.MaxNewTokens) && taken.Add(string.Join(' ', tokens)))
            {
                var text = _session.Texts[index];
                found.Add(new(
                    new(text.Id, group, SweepHalf.Choose),
                    text.Prompt.Length > 0 ? text.Prompt : _session.Model.Loaded.Tokenizer.Decode(tokens, skipSpecialTokens: true),
                    tokens,
                    text.HeldOut ? SweepSource.HeldOut : SweepSource.Learnt));
            }
        }

        return found;
    }

    // What comes before the first trained token; of plain text, all of which is trained on, its beginning.
    private static int[] PromptOf(TokenizedDocument document)
    {
        var first = Array.IndexOf(document.Trained, true);
        return first > 1 ? document.Tokens[..first] : document.Tokens[..Math.Min(TextPrompt, document.Tokens.Length / 2)];
    }

    private static AskedQuestion Asked((string Id, string Prompt, int[] Tokens, SweepGroup Group, string? Pole) question) =>
        new(new(question.Id, question.Group, SweepHalf.Choose), question.Prompt, question.Tokens, SweepSource.File);

    private static string Text(AskedQuestion question) => string.Join(' ', question.Tokens);

    private List<(string Id, string Prompt, int[] Tokens, SweepGroup Group, string? Pole)> Read(string file)
    {
        if (!File.Exists(file))
        {
            throw Broken(file, "is not there");
        }

        var questions = new List<(string Id, string Prompt, int[] Tokens, SweepGroup Group, string? Pole)>();
        foreach (var (line, number) in File.ReadLines(file).Select((line, place) => (line.Trim(), place + 1)).Where(item => item.Item1.Length > 0))
        {
            var (id, prompt, group, pole) = ReadLine(file, line, number);
            var tokens = _session.Model.EncodePrompt(prompt, _session.Options);
            if (tokens.Length > _session.Model.Loaded.Model.ContextLength - _options.MaxNewTokens)
            {
                throw Broken(file, string.Create(CultureInfo.InvariantCulture, $"line {number} has {tokens.Length} tokens: with an answer of {_options.MaxNewTokens} it does not fit the model's context"));
            }

            questions.Add((id, prompt, tokens, group, pole));
        }

        if (questions.Count == 0)
        {
            throw Broken(file, "holds no question");
        }

        return questions.GroupBy(question => question.Id, StringComparer.Ordinal).FirstOrDefault(AskedTwice) is { } twice
            ? throw Broken(file, $"has the id {twice.Key} twice")
            : questions;
    }

    // An id may come again for another pole, but not beside one for every pole.
    private static bool AskedTwice(IEnumerable<(string Id, string Prompt, int[] Tokens, SweepGroup Group, string? Pole)> questions)
    {
        var poles = questions.Select(question => question.Pole).ToList();
        return poles.Count > 1 && (poles.Contains(null) || poles.Distinct(StringComparer.Ordinal).Count() < poles.Count);
    }

    private static (string Id, string Prompt, SweepGroup Group, string? Pole) ReadLine(string file, string line, int number)
    {
        var place = number.ToString(CultureInfo.InvariantCulture);
        if (line[0] != '{')
        {
            return (place, line, SweepGroup.OnTarget, null);
        }

        try
        {
            using var row = JsonDocument.Parse(line);
            string? Field(string name) => row.RootElement.TryGetProperty(name, out var value) ? value.ValueKind == JsonValueKind.String ? value.GetString() : value.ToString() : null;
            return (
                Field("id") ?? place,
                Field("prompt") is { Length: > 0 } prompt ? prompt : throw Broken(file, $"line {place} has no prompt"),
                Field("group") switch
                {
                    null or "on" => SweepGroup.OnTarget,
                    "off" => SweepGroup.OffTarget,
                    var other => throw Broken(file, $"line {place} has the group {other}"),
                },
                Field("pole"));
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw Broken(file, $"line {place} begins as JSON and is none ({error.Message})");
        }
    }

    private static RunFolderException Broken(string file, string problem) =>
        new("GA2614", file, problem, "Give one prompt a line, or JSON Lines: {\"id\": \"q1\", \"prompt\": \"...\", \"group\": \"on\"}.");
}
