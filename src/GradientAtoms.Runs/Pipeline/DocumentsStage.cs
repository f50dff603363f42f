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
        var losses = new TokenizationLosses(options.Data);
        var copies = new List<DocumentRow>();
        var packed = new PackedDocuments.Builder();
        var (heldOut, truncatedDocuments, truncatedTokens, trainedTokens) = (0, 0, 0L, 0L);
        DocumentCounts counts;

        // No text is kept: a document is in memory from its row to its line. The lines are the run's only when all rows have been read and
        // can be used: until then an earlier audit stays as it is.
        var lines = AtomicFile.Beside(context.Folder.PathOf("texts.jsonl"));
        try
        {
            using (var stream = new FileStream(lines, FileMode.CreateNew, FileAccess.Write, FileShare.Read, 1 << 16))
            {
                var tokenizer = model.ChatTokenizer(options);
                var read = 0;
                counts = DocumentReader.Stream(
                    options.Data,
                    new() { Map = options.Map, Split = options.Split, Limit = options.Limit },
                    (document, first) =>
                    {
                        if (first is not null)
                        {
                            copies.Add(new() { Id = document.Id, SourceRow = document.Line, Status = "duplicate", Reason = $"the same as {first}", DuplicateOf = first });
                        }

                        foreach (var tokens in first is null ? tokenizer.Tokenize(document, losses) : [])
                        {
                            var text = new TextRow(tokens.Id, tokens.Line, document.PromptText, document.AnswerText, DocumentSplit.IsHeldOut(tokens.Id, options.HeldOut, (ulong)options.Seed)) { Source = document.Source };
                            JsonSerializer.Serialize(stream, text, RunJson.Compact);
                            stream.WriteByte((byte)'\n');
                            packed.Add(tokens);
                            heldOut += text.HeldOut ? 1 : 0;
                            truncatedDocuments += tokens.TruncatedTokens > 0 ? 1 : 0;
                            truncatedTokens += tokens.TruncatedTokens;
                            trainedTokens += tokens.TrainedCount;
                        }

                        context.Progress?.Report(new(Name, ++read, options.Limit ?? 0, "documents"));
                    },
                    context.CancellationToken);
            }

            Check(options, counts.RowCount, [.. counts.Rejected, .. losses.Rejected], packed.Count);
            context.WriteFile(Texts, path => File.Move(lines, path));
        }
        finally
        {
            File.Delete(lines);
        }

        context.WriteFile(Tokens, packed.Build().Write);
        IReadOnlyList<RejectedRow> rejected = [.. counts.Rejected, .. losses.Rejected];
        context.WriteText(Fates, string.Concat(
            rejected.Select(row => new DocumentRow { Id = $"line {row.Line}", SourceRow = row.Line, Status = "rejected", Reason = row.Reason })
            .Concat(copies)
            .Select(row => JsonSerializer.Serialize(row, RunJson.Compact) + "\n")));
        foreach (var (name, value) in new (string, JsonNode)[]
        {
            ("shape", counts.Shape.ToString().ToLowerInvariant()),
            ("rows", counts.RowCount),
            ("documents", packed.Count),
            ("rejected", rejected.Count),
            ("duplicates", copies.Count),
            ("held_out", heldOut),
            ("split_by_turn", losses.SplitCount),
            ("truncated_documents", truncatedDocuments),
            ("truncated_tokens", truncatedTokens),
            ("tokens", packed.TokenCount),
            ("trained_tokens", trainedTokens),
        })
        {
            context.Notes[name] = value;
        }
    }

    private static void Check(AuditOptions options, int rows, IReadOnlyList<RejectedRow> rejected, int documents)
    {
        if (rejected.Count > options.MaxRejected * rows)
        {
            throw new GradientAtomsException(
                "GA4001",
                options.Data,
                $"{rejected.Count} of {rows} rows cannot be used, more than --max-rejected {options.MaxRejected:0.##} allows; the first: line {rejected[0].Line}, {rejected[0].Reason}",
                "Mend the rows, map their fields with --map, or raise --max-rejected.");
        }

        if (documents < 8)
        {
            throw new DocumentException("GA2004", options.Data, $"leaves {documents} documents, and an audit needs 8 at least", "Give more documents, or look at the rejected rows with `gatoms inspect`.");
        }
    }

    /// <summary>The texts, read from the run when they are asked for: who goes through them often copies them.</summary>
    public static IReadOnlyList<TextRow> ReadTexts(RunFolder run) => new TextLines(run.Need(Texts));

    public static IReadOnlyList<DocumentRow> ReadFates(RunFolder run) => ReadLines<DocumentRow>(run.Need(Fates));

    public static IReadOnlyList<TokenizedDocument> ReadTokens(RunFolder run, IReadOnlyList<TextRow> texts) => TokenFile.Read(run.Need(Tokens), texts);

    private static List<T> ReadLines<T>(string path) => [.. File.ReadLines(path).Select(line => JsonSerializer.Deserialize<T>(line, RunJson.Compact)!)];
}
