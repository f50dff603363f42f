using System.CommandLine;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms docs</c>: the documents of a run, and the filtered training file.</summary>
internal static class DocsCommand
{
    public static GatomsCommand Create()
    {
        var run = new Argument<string>("RUN") { Description = "The run folder." };
        var document = new Argument<string?>("DOCUMENT") { Description = "A document's id: shows it in full, with the atoms that it encodes on.", Arity = ArgumentArity.ZeroOrOne };
        var search = Opt.Text("--search", "TEXT", "Only documents that contain this text (case does not matter).");
        var pole = Opt.Text("--pole", "POLE", "Only documents of this pole, strongest first.");
        var rejected = Opt.Flag("--rejected", "The rows that could not be used, with reasons.");
        var worst = Opt.Flag("--worst", "The documents of which the atoms explain least, the worst first.");
        var drop = new Option<string[]>("--drop-pole") { Description = "Write the training file without this pole's documents; may be given more than once.", HelpName = "POLE" };
        var keep = new Option<string[]>("--keep-pole") { Description = "Write the training file with only this pole's documents; may be given more than once.", HelpName = "POLE" };
        var data = Opt.Text("--data", "FILE", "The data file or folder, where it has moved since the audit.");
        var output = Opt.Text("--out", "FILE", "The training file to write. Rows of JSON Lines, JSON and CSV are copied byte for byte; Parquet is written as JSON Lines.");
        var top = Opt.Whole("--top", "COUNT", "How many to list. Default 20.");
        var command = new GatomsCommand(
            "docs",
            "Searches and shows documents; keeps or drops those of a pole and writes the filtered training file.",
            "gatoms docs runs/mine --search \"I can't help\"",
            "gatoms docs runs/mine --worst --top 50",
            "gatoms docs runs/mine --drop-pole a1b2c3+ --out filtered.jsonl")
        {
            run, document, search, pole, rejected, worst, drop, keep, data, output, top,
        };
        command.Body = context =>
        {
            var parse = context.Parse;
            var (drops, keeps) = (parse.GetValue(drop) ?? [], parse.GetValue(keep) ?? []);
            using var view = RunView.Open(parse.GetRequiredValue(run));
            if (drops.Length + keeps.Length > 0)
            {
                Filter(context, view, drops, keeps, parse.GetValue(data), parse.GetValue(output));
            }
            else if (parse.GetValue(output) is not null)
            {
                throw UsageException.Combination("gatoms docs", "--out wants --drop-pole or --keep-pole", "say which documents to drop or keep");
            }
            else if (parse.GetValue(document) is { } id)
            {
                Show(context, view, id);
            }
            else if (parse.GetValue(worst))
            {
                Worst(context, view, parse.GetValue(search), parse.GetValue(top) ?? 20);
            }
            else
            {
                List(context, view, parse.GetValue(search), parse.GetValue(pole), parse.GetValue(rejected), parse.GetValue(top) ?? 20);
            }
        };
        return command.Finished();
    }

    private static void List(CommandContext context, RunView view, string? search, string? poleId, bool isRejected, int top)
    {
        var texts = view.Texts();
        var entries = poleId is null
            ? view.Rows.Where(row => row.Status == "rejected" == isRejected).Select(row => (Row: row, Code: (double?)null)).ToList()
            : [.. view.FindPole(poleId) is var (atom, pole) ? view.DocumentsOf(atom, pole).Select(entry => (entry.Row, (double?)entry.Code)) : []];
        if (search is not null)
        {
            entries = [.. entries.Where(entry => Contains(texts.GetValueOrDefault(entry.Row.Id), search))];
        }

        var shown = entries.Take(top).ToArray();
        context.Print(
            "gatoms/documents",
            new { Run = view.Name, Total = entries.Count, Documents = shown.Select(entry => Describe(entry.Row, entry.Code, texts.GetValueOrDefault(entry.Row.Id), atoms: null)) },
            writer =>
            {
                var table = poleId is null ? new TextTable("id", "line", "tokens", "status", "text").Right(1, 2) : new TextTable("id", "line", "tokens", "code", "text").Right(1, 2, 3);
                foreach (var (row, code) in shown)
                {
                    var text = texts.GetValueOrDefault(row.Id);
                    table.Add(row.Id, Plain.Count(row.SourceRow), Plain.Count(row.Tokens), code is { } value ? Plain.Number(value) : row.Status, row.Reason ?? (text is null ? string.Empty : Plain.Short(text.Prompt + " → " + text.Answer, 160)));
                }

                table.Write(writer, context.Host.Width);
            });
        context.Hint($"{Plain.Count(shown.Length)} of {Plain.Count(entries.Count)} documents{(shown.Length < entries.Count ? "; --top shows more" : string.Empty)}");
    }

    private static void Worst(CommandContext context, RunView view, string? search, int top)
    {
        var texts = view.Texts();
        var explained = RunReader.ReadExplained(view.Folder).Where(entry => search is null || Contains(texts.GetValueOrDefault(entry.Key), search)).ToList();
        var shown = explained.Take(top).ToArray();
        var rows = view.Rows.ToDictionary(row => row.Id, StringComparer.Ordinal);
        context.Print(
            "gatoms/documents",
            new { Run = view.Name, Total = explained.Count, Documents = shown.Select(entry => new { Id = entry.Key, Explained = entry.Value, Line = rows.GetValueOrDefault(entry.Key)?.SourceRow, texts.GetValueOrDefault(entry.Key)?.Prompt, texts.GetValueOrDefault(entry.Key)?.Answer }) },
            writer =>
            {
                var table = new TextTable("id", "line", "explained", "text").Right(1, 2);
                foreach (var (id, share) in shown)
                {
                    table.Add(id, rows.GetValueOrDefault(id) is { } row ? Plain.Count(row.SourceRow) : "-", Plain.Percent(share), texts.GetValueOrDefault(id) is { } text ? Plain.Short(text.Prompt + " → " + text.Answer, 160) : string.Empty);
                }

                table.Write(writer, context.Host.Width);
            });
        context.Hint($"{Plain.Count(shown.Length)} of {Plain.Count(explained.Count)} documents{(shown.Length < explained.Count ? "; --top shows more" : string.Empty)}");
    }

    private static void Show(CommandContext context, RunView view, string id)
    {
        var row = view.Rows.FirstOrDefault(row => row.Id == id) ?? throw UsageException.Unknown("document", id, view.Name, $"gatoms docs {view.Name} lists them");
        var text = view.Texts().GetValueOrDefault(id);
        var atoms = row.Status == "used" ? view.AtomsOf(row) : [];
        context.Print("gatoms/document", Describe(row, null, text, atoms), writer =>
        {
            writer.WriteLine($"{Plain.Line(row.Id)}   line {Plain.Count(row.SourceRow)}   {row.Status}{(row.Split is { } split ? $", {split}" : string.Empty)}{(row.Reason is { } reason ? $": {Plain.Line(reason)}" : string.Empty)}");
            writer.WriteLine($"{Plain.Count(row.Tokens)} tokens, {Plain.Count(row.TrainedTokens)} trained{(row.TruncatedTokens > 0 ? $", {Plain.Count(row.TruncatedTokens)} cut off" : string.Empty)}{(row.Loss is { } loss ? $", loss {Plain.Short(loss / Math.Max(row.TrainedTokens, 1))} nats a token" : string.Empty)}{(row.GradientNorm is { } norm ? $", gradient norm {Plain.Short(norm)}" : string.Empty)}");
            foreach (var part in (string?[])[text?.Prompt, text?.Answer])
            {
                if (part is { Length: > 0 })
                {
                    writer.WriteLine();
                    writer.WriteLine(Plain.Lines(part));
                }
            }

            writer.WriteLine();
            writer.WriteLine(atoms.Count == 0 ? "encodes on no atom" : "encodes on");
            foreach (var (pole, code) in atoms)
            {
                var words = view.Atoms.SelectMany(atom => atom.Poles).FirstOrDefault(other => other.Id == pole)?.Keywords;
                writer.WriteLine($"  {Plain.Number(code),7}  {pole}  {Plain.Line(string.Join(", ", words ?? []))}");
            }
        });
    }

    private static void Filter(CommandContext context, RunView view, string[] drops, string[] keeps, string? data, string? output)
    {
        const string Command = "gatoms docs";
        if (drops.Length > 0 && keeps.Length > 0)
        {
            throw UsageException.Combination(Command, "--drop-pole and --keep-pole cannot be given together", "write two files, one after the other");
        }

        if (output is null)
        {
            throw UsageException.Combination(Command, "--out is missing", "say where the training file is to go");
        }

        var source = view.DataFile(data) ?? throw UsageException.OtherData(view.Name, "was made from a data file that is no longer where it was");
        if (File.Exists(output))
        {
            throw UsageException.Exists(output);
        }

        var ids = drops.Concat(keeps).SelectMany(id => view.FindPole(id) is var (atom, pole) ? view.DocumentsOf(atom, pole) : []).Select(entry => entry.Row.Id).ToHashSet(StringComparer.Ordinal);

        // A copy of a document teaches what the document teaches: it shares its fate.
        var chosen = view.Rows.Where(row => ids.Contains(row.Id) || (row.DuplicateOf is { } first && ids.Contains(first))).Select(row => row.SourceRow).ToHashSet();
        var written = new FilterResult(0, 0, "");
        AtomicFile.Write(output, stream => written = DocumentFilter.Copy(source, stream, line => chosen.Contains(line) == keeps.Length > 0, view.Split, context.CancellationToken));
        var (copied, dropped, format) = written;
        var looked = view.Rows.Select(row => row.SourceRow).ToHashSet().Count;
        var unseen = Math.Max(copied + dropped - looked, 0);
        context.Print(
            "gatoms/filtered",
            new { Run = view.Name, Source = source, Out = output, Poles = drops.Concat(keeps), Rows = copied + dropped, Written = copied, Dropped = dropped, NotAudited = unseen, Format = format },
            writer => writer.WriteLine($"{output}: {Plain.Count(copied)} rows written as {format}, {Plain.Count(dropped)} dropped{(unseen > 0 ? $"; {Plain.Count(unseen)} rows of the file were not audited and count as not on the pole" : string.Empty)}"));
    }

    private static object Describe(DocumentRow row, double? code, TextRow? text, IReadOnlyList<(string Pole, double Code)>? atoms) => new
    {
        row.Id,
        Line = row.SourceRow,
        row.Status,
        row.Split,
        row.Reason,
        row.DuplicateOf,
        row.Tokens,
        row.TrainedTokens,
        row.TruncatedTokens,
        row.Loss,
        row.GradientNorm,
        Code = code,
        text?.Prompt,
        text?.Answer,
        Atoms = atoms?.Select(atom => new { atom.Pole, atom.Code }),
    };

    private static bool Contains(TextRow? document, string text) => document is not null
        && (document.Prompt.Contains(text, StringComparison.OrdinalIgnoreCase) || document.Answer.Contains(text, StringComparison.OrdinalIgnoreCase));
}
