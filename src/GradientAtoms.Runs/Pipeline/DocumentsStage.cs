using System.Text.Json;
using System.Text.Json.Nodes;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Stages;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>Rows in; token ids, loss masks and texts out, with what was rejected, cut or repeated.</summary>
internal static class DocumentsStage
{
    public const string Name = "documents";
    public const string Tokens = "documents/tokens.safetensors";
    public const string Texts = "documents/texts.jsonl";
    public const string Fates = "documents/fates.jsonl";

    public static Stage Create(AuditOptions options, ModelFiles model) => new()
    {
        Name = Name,
        Options = RunJson.Of(options, "map", "split", "date", "limit", "max_tokens", "seed", "held_out", "max_rejected"),
        Inputs = [.. DataInputs(options), .. model.TextInputs, .. options.ChatTemplate is { } template ? [new ExternalInput("chat-template", template)] : Array.Empty<ExternalInput>()],
        Run = context => Run(context, options, model),
    };

    /// <summary>One file is <c>data</c>; those of a folder are <c>data/1</c>, <c>data/2</c>, in their order.</summary>
    private static IEnumerable<ExternalInput> DataInputs(AuditOptions options) => DocumentReader.FilesOf(options.Data, options.Split) is [var only]
        ? [new("data", only)]
        : DocumentReader.FilesOf(options.Data, options.Split).Select((file, i) => new ExternalInput(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"data/{i + 1}"), file));

    private static void Run(StageContext context, AuditOptions options, ModelFiles model)
    {
        context.Progress?.Report(new(Name, 0, 1, "files"));
        var set = DocumentReader.Read(options.Data, new() { Map = options.Map, Split = options.Split, Limit = options.Limit }, context.CancellationToken);
        var copies = set.Documents.Where(document => set.Duplicates.ContainsKey(document.Id)).ToList();
        var unique = set.Distinct;
        var tokenizer = model.ChatTokenizer(options);
        var progress = context.Progress is { } to ? new Relay<(int Done, int Total)>(step => to.Report(new(Name, step.Done, step.Total, "documents"))) : null;
        var tokenized = tokenizer.TokenizeAll(unique, options.Data, progress, context.CancellationToken);
        IReadOnlyList<RejectedRow> rejected = [.. set.Rejected, .. tokenized.Rejected];
        var rows = set.Documents.Count + set.Rejected.Count;
        if (rejected.Count > options.MaxRejected * rows)
        {
            throw new GradientAtomsException(
                "GA4001",
                options.Data,
                $"{rejected.Count} of {rows} rows cannot be used, more than --max-rejected {options.MaxRejected:0.##} allows; the first: line {rejected[0].Line}, {rejected[0].Reason}",
                "Mend the rows, map their fields with --map, or raise --max-rejected.");
        }

        if (tokenized.Documents.Count < 8)
        {
            throw new DocumentException("GA2004", options.Data, $"leaves {tokenized.Documents.Count} documents, and an audit needs 8 at least", "Give more documents, or look at the rejected rows with `gatoms inspect`.");
        }

        var sources = unique.ToDictionary(document => document.Id, StringComparer.Ordinal);
        var texts = tokenized.Documents.Select(document =>
        {
            // A chat that was split by turn has documents id#turn.
            var source = sources.TryGetValue(document.Id, out var whole) ? whole : sources[document.Id[..document.Id.LastIndexOf('#')]];
            return new TextRow(document.Id, document.Line, source.PromptText, source.AnswerText, DocumentSplit.IsHeldOut(document.Id, options.HeldOut, (ulong)options.Seed))
            {
                Source = source.Source,
            };
        }).ToList();
        context.WriteFile(Tokens, path => TokenFile.Write(path, tokenized.Documents));
        context.WriteText(Texts, Lines(texts));
        context.WriteText(Fates, Lines(
            rejected.Select(row => new DocumentRow { Id = $"line {row.Line}", SourceRow = row.Line, Status = "rejected", Reason = row.Reason })
            .Concat(copies.Select(copy => new DocumentRow
            {
                Id = copy.Id,
                SourceRow = copy.Line,
                Status = "duplicate",
                Reason = $"the same as {set.Duplicates[copy.Id]}",
                DuplicateOf = set.Duplicates[copy.Id],
            }))));
        foreach (var (name, value) in new (string, JsonNode)[]
        {
            ("shape", set.Shape.ToString().ToLowerInvariant()),
            ("rows", rows),
            ("documents", texts.Count),
            ("rejected", rejected.Count),
            ("duplicates", copies.Count),
            ("held_out", texts.Count(text => text.HeldOut)),
            ("split_by_turn", tokenized.SplitCount),
            ("truncated_documents", tokenized.TruncatedCount),
            ("truncated_tokens", tokenized.TruncatedTokens),
            ("tokens", tokenized.TokenCount),
            ("trained_tokens", tokenized.TrainedCount),
        })
        {
            context.Notes[name] = value;
        }
    }

    /// <summary>The texts, read from the run when they are asked for: who goes through them often copies them.</summary>
    public static IReadOnlyList<TextRow> ReadTexts(RunFolder run) => new TextLines(run.Need(Texts));

    public static IReadOnlyList<DocumentRow> ReadFates(RunFolder run) => ReadLines<DocumentRow>(run.Need(Fates));

    public static IReadOnlyList<TokenizedDocument> ReadTokens(RunFolder run, IReadOnlyList<TextRow> texts) => TokenFile.Read(run.Need(Tokens), texts);

    private static string Lines<T>(IEnumerable<T> rows) => string.Concat(rows.Select(row => JsonSerializer.Serialize(row, RunJson.Compact) + "\n"));

    private static List<T> ReadLines<T>(string path) => [.. File.ReadLines(path).Select(line => JsonSerializer.Deserialize<T>(line, RunJson.Compact)!)];
}

/// <summary>Hands progress on, on the caller's thread.</summary>
internal sealed class Relay<T>(Action<T> report) : IProgress<T>
{
    public void Report(T value) => report(value);
}
