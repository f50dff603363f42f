using System.CommandLine;
using GradientAtoms.Models;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs;
using GradientAtoms.Text.ChatTemplates;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms inspect</c>: what a path is.</summary>
internal static class InspectCommand
{
    public static GatomsCommand Create()
    {
        var path = new Argument<string>("PATH") { Description = "A model folder, a GGUF file, an adapter, a data file or folder, or a run; or org/name in the local cache." };
        var model = Opt.Text("--model", "MODEL", "For a data file: the model whose chat template and tokens show the rendered rows, trained tokens marked.");
        var rows = Opt.Whole("--rows", "COUNT", "For a data file: how many rows to show. Default 3.", least: 0);
        var template = Opt.Text("--chat-template", "FILE", "A chat template instead of the model's own.");
        var map = Opt.Text("--map", "PAIRS", "Where a row's fields have other names: prompt=question,completion=answer.");
        var split = Opt.Text("--split", "NAME", "Of a data folder: the split to read. Default train.");
        var date = Opt.Date("--date", "The day that a chat template is told, where it asks. Default today.");
        var maxTokens = Opt.Whole("--max-tokens", "COUNT", "Longer documents are cut. Default 512.", least: 2);
        var check = Opt.Text("--check", "FILE", "For a model: compare its logits with stored ones (a JSON file of documents, a safetensors file of logits beside it).");
        var adapter = Opt.Text("--adapter", "FOLDER", "With --check: the adapter that the stored logits were computed with; default is the folder adapter beside the stored answer, if there is one.");
        var tolerance = Opt.Number("--tolerance", "LOGITS", "With --check: how far a logit may be off. Default 1e-3.", above: 0);
        var command = new GatomsCommand(
            "inspect",
            "Tells what a model, adapter, data file, GGUF or run is; shows rendered rows with the loss mask.",
            "gatoms inspect base.gguf",
            "gatoms inspect chats.jsonl --model base.gguf --rows 2",
            "gatoms inspect org/name --check answers/expected.json")
        {
            path, model, rows, template, map, split, date, maxTokens, check, adapter, tolerance,
        };
        command.Body = context =>
        {
            var target = context.Parse.GetRequiredValue(path);
            if (RunFolder.IsRun(target))
            {
                Run(context, target);
            }
            else if (context.Parse.GetValue(check) is { } expected)
            {
                ModelCheckReport.Run(context, target, expected, context.Parse.GetValue(adapter), context.Parse.GetValue(tolerance) ?? ModelCheck.UsualTolerance);
            }
            else if (Directory.Exists(target) && (PeftAdapter.IsAdapter(target) || (!File.Exists(Path.Combine(target, "config.json")) && PeftAdapter.AdaptersIn(target).Count > 0)))
            {
                Adapters(context, target);
            }
            else if (IsData(target))
            {
                var data = new DataView(
                    target,
                    context.Parse.GetValue(model),
                    context.Parse.GetValue(template),
                    context.Parse.GetValue(map) is { } pairs ? DocumentReaderOptions.ParseMap(pairs) : null,
                    context.Parse.GetValue(rows) ?? 3,
                    context.Parse.GetValue(maxTokens) ?? 512,
                    context.Parse.GetValue(split),
                    context.Parse.GetValue(date) ?? DateTime.Today);
                Data(context, data);
            }
            else
            {
                Model(context, target);
            }
        };
        return command.Finished();
    }

    /// <summary>A file that is no model's, or a folder of data that has no model in it.</summary>
    private static bool IsData(string path) => File.Exists(path)
        ? !GgufFile.IsGguf(path) && !path.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase) && !path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase)
        : Directory.Exists(path) && !File.Exists(Path.Combine(path, "config.json")) && !Directory.EnumerateFiles(path, "*.safetensors").Any() && DocumentReader.IsDataFolder(path);

    private static void Model(CommandContext context, string path)
    {
        var model = LoadedModel.Describe(path);
        context.Print(
            "gatoms/inspect",
            new { Kind = "model", Path = path, model.Name, model.Format, model.Architecture, model.ParameterCount, model.StoredTypes, model.VocabularySize, model.HiddenSize, model.ContextLength, LinearModules = model.LinearModules.Count, NotRead = model.OtherParts, model.Files },
            writer =>
            {
                writer.WriteLine($"model {Plain.Line(model.Name)}: {model.Architecture}, {Plain.Count(model.ParameterCount)} parameters, {model.Format}");
                writer.WriteLine($"  stored as      {string.Join(", ", model.StoredTypes.OrderByDescending(type => type.Value).Select(type => $"{type.Key} ({Plain.Count(type.Value)})"))}");
                writer.WriteLine($"  vocabulary     {Plain.Count(model.VocabularySize)} tokens");
                writer.WriteLine($"  context        {Plain.Count(model.ContextLength)} tokens");
                writer.WriteLine($"  hidden size    {Plain.Count(model.HiddenSize)}");
                writer.WriteLine($"  adaptable      {Plain.Count(model.LinearModules.Count)} linear modules: {string.Join(", ", model.LinearModules.Select(module => module.Name.Split('.')[^1]).Distinct(StringComparer.Ordinal))}");
                if (model.OtherParts.Count > 0)
                {
                    writer.WriteLine($"  not read       {Plain.Line(string.Join(", ", model.OtherParts))}: other parts than the text model");
                }

                foreach (var file in model.Files)
                {
                    writer.WriteLine($"  file           {file} ({Plain.Bytes(new FileInfo(file).Length)})");
                }
            });
    }

    private static void Sizes(TextWriter writer, Runs.Formats.TriedSizes sizes)
    {
        writer.WriteLine();
        writer.WriteLine($"sizes tried: {Plain.Line(sizes.Chosen.Why)}");
        var table = new TextTable("atoms", "penalty", "codes a document", "poles", "beyond chance", "return", "thirds agree", "stay", "different", "documents on them", "").Right(0, 1, 2, 3, 4, 5, 6, 7, 8, 9);
        foreach (var point in sizes.Points.OrderBy(point => point.Atoms).ThenBy(point => point.Nonzeros))
        {
            table.Add(Plain.Count(point.Atoms), Plain.Short(point.Sparsity), Plain.Short(point.Nonzeros), Plain.Count(point.Poles), Plain.Count(point.BeyondChance), Plain.Count(point.Returning), Plain.Count(point.Agreeing), Plain.Count(point.Staying), Plain.Count(point.Distinct), Plain.Percent(point.DocumentShare), sizes.IsChosen(point) ? "chosen" : string.Empty);
        }

        table.Write(writer);
        writer.WriteLine();
    }

    private static void Adapters(CommandContext context, string path)
    {
        var others = PeftAdapter.AdaptersIn(path);
        if (PeftAdapter.IsAdapter(path))
        {
            Adapter(context, path, others);
            return;
        }

        context.Print(
            "gatoms/inspect",
            new { Kind = "adapters", Path = path, Adapters = others },
            writer =>
            {
                writer.WriteLine($"{path}: {Plain.Count(others.Count)} adapters");
                foreach (var one in others)
                {
                    writer.WriteLine($"  {one}");
                }
            });
        context.Hint($"gatoms inspect {others[0]} shows one.");
    }

    private static void Adapter(CommandContext context, string path, IReadOnlyList<string> others)
    {
        var configuration = PeftAdapter.Configuration(path);
        var summary = PeftAdapter.Summarise(path);
        string[] targets = configuration.TargetPattern is { } pattern ? [pattern] : [.. configuration.TargetModules];
        context.Print(
            "gatoms/inspect",
            new
            {
                Kind = "adapter", Path = path, configuration.Rank, configuration.Alpha, configuration.UseRsLora, Targets = targets, configuration.BaseModel, Modules = summary.Modules, summary.ParameterCount,
                TrainedButNotAnalysed = configuration.SavedModules, summary.ChangesNothing, OtherAdapters = others,
            },
            writer =>
            {
                writer.WriteLine($"LoRA adapter {path}: rank {Plain.Count(configuration.Rank)}, alpha {Plain.Short(configuration.Alpha)}{(configuration.UseRsLora ? ", rsLoRA" : string.Empty)}");
                writer.WriteLine($"  targets        {Plain.Line(string.Join(", ", targets))}");
                writer.WriteLine($"  modules        {Plain.Count(summary.Modules)}, {Plain.Count(summary.ParameterCount)} parameters");
                writer.WriteLine($"  trained on     {Plain.Line(configuration.BaseModel ?? "not said")}");
                if (configuration.SavedModules.Count > 0)
                {
                    writer.WriteLine($"  saved whole    {Plain.Line(string.Join(", ", configuration.SavedModules))}: trained but not analysed");
                }

                if (summary.ChangesNothing)
                {
                    writer.WriteLine("  changes        nothing: every lora_B is zero");
                }

                if (others.Count > 0)
                {
                    writer.WriteLine($"  beside it      {Plain.Line(string.Join(", ", others))}");
                }
            });
    }

    private static void Run(CommandContext context, string path)
    {
        using var run = RunFolder.OpenRead(path);
        var manifest = run.Manifest;
        var sizes = Runs.Formats.SizesFile.Read(run);
        var atoms = File.Exists(run.PathOf(RunFiles.Atoms)) ? Runs.Formats.AtomsFile.Read(run.PathOf(RunFiles.Atoms)).Count : (int?)null;
        context.Print(
            "gatoms/inspect",
            new { Kind = "run", Path = path, Finished = manifest.Stages.Count > 0 && manifest.Stages.All(stage => stage.IsDone), Atoms = atoms, manifest.Seed, manifest.Options, manifest.Versions, manifest.ContentHash, Sizes = sizes, Stages = manifest.Stages.Select(stage => new { stage.Name, stage.Status, stage.Seconds, stage.PeakMemoryBytes }) },
            writer =>
            {
                writer.WriteLine($"run {path}{(atoms is { } count ? $": {Plain.Count(count)} atoms" : string.Empty)}");
                var table = new TextTable("stage", "status", "time", "peak memory").Right(2, 3);
                foreach (var stage in manifest.Stages)
                {
                    table.Add(stage.Name, stage.Status, stage.Seconds is { } seconds ? Plain.Duration(TimeSpan.FromSeconds(seconds)) : "-", stage.PeakMemoryBytes is { } bytes ? Plain.Bytes(bytes) : "-");
                }

                table.Write(writer);
                if (sizes is not null)
                {
                    Sizes(writer, sizes);
                }

                writer.WriteLine($"content hash {manifest.ContentHash}");
            });
    }

    private static void Data(CommandContext context, DataView view)
    {
        var set = DocumentReader.Read(view.Path, new() { Split = view.Split, Map = view.Map ?? new Dictionary<string, string>(StringComparer.Ordinal) }, context.CancellationToken);
        var shown = set.Documents.Take(view.RowCount).Select(document => (Document: document, Rendered: (RenderedRow?)null)).ToArray();
        if (view.Model is { } model)
        {
            var text = LoadedModel.ReadText(model);
            var template = view.Template is { } file ? ChatTemplateFile.FromFile(file) : text.ChatTemplate;
            var tokenizer = new ChatTokenizer((content, special) => text.Tokenizer.Encode(content, special), template, SpecialTokenNames.Of(text.SpecialTokens), new() { MaxTokens = view.MaxTokens, Now = view.Date });
            shown = [.. shown.Select(entry => (entry.Document, (RenderedRow?)RenderedRow.Of(tokenizer.Tokenize(entry.Document), text.Tokenizer)))];
        }

        context.Print(
            "gatoms/inspect",
            new
            {
                Kind = "data",
                view.Path,
                set.Shape,
                Rows = set.RowCount,
                Documents = set.Documents.Count,
                Duplicates = set.Duplicates.Count,
                Rejected = set.Rejected.Select(row => new { row.Line, row.Reason }),
                Shown = shown.Select(entry => new { entry.Document.Id, entry.Document.Line, Prompt = entry.Document.PromptText, Answer = entry.Document.AnswerText, entry.Rendered?.Rejection, entry.Rendered?.Tokens, entry.Rendered?.TrainedTokens, entry.Rendered?.TruncatedTokens, entry.Rendered?.Segments }),
            },
            writer =>
            {
                writer.WriteLine($"data {view.Path}: {Plain.Count(set.RowCount)} rows, shape {set.Shape.ToString().ToLowerInvariant()}");
                writer.WriteLine($"  documents      {Plain.Count(set.Documents.Count)} ({Plain.Count(set.Duplicates.Count)} exact duplicates)");
                writer.WriteLine($"  rejected       {Plain.Count(set.Rejected.Count)}");
                foreach (var row in set.Rejected.Take(5))
                {
                    writer.WriteLine($"    {Path.GetFileName(row.File)}:{Plain.Count(row.Line)}: {Plain.Short(row.Reason, 140)}");
                }

                foreach (var (document, rendered) in shown)
                {
                    Write(context, writer, document, rendered);
                }
            });
        context.Hint(view.Model is null ? "--model MODEL shows the rows as the model reads them, with the tokens that are trained on." : "Trained tokens are marked; gradients are of their loss alone.");
    }

    private static void Write(CommandContext context, TextWriter writer, Document document, RenderedRow? rendered)
    {
        writer.WriteLine();
        if (rendered is null)
        {
            writer.WriteLine($"--- {Plain.Line(document.Id)}, line {Plain.Count(document.Line)}");
            foreach (var message in document.Messages)
            {
                writer.WriteLine($"[{Plain.Line(message.Role)}] {Plain.Lines(message.Content)}");
            }

            writer.Write(document.Text is { } plain ? Plain.Lines(plain) + "\n" : string.Empty);
            return;
        }

        writer.WriteLine(rendered.Rejection is { } reason
            ? $"--- {Plain.Line(document.Id)}, line {Plain.Count(document.Line)}: rejected, {Plain.Line(reason)}"
            : $"--- {Plain.Line(document.Id)}, line {Plain.Count(document.Line)}: {Plain.Count(rendered.Tokens)} tokens, {Plain.Count(rendered.TrainedTokens)} trained{(rendered.TruncatedTokens > 0 ? $", {Plain.Count(rendered.TruncatedTokens)} cut off" : string.Empty)}");
        var isColoured = context.Host is { OutIsTerminal: true, Colours: true };
        foreach (var segment in rendered.Segments)
        {
            var text = Plain.Lines(segment.Text);
            writer.Write((segment.Trained, isColoured) switch
            {
                (false, _) => text,
                (true, true) => $"\e[30;42m{text.Replace("\n", "\e[0m\n\e[30;42m", StringComparison.Ordinal)}\e[0m",
                (true, false) => $"⟦{text}⟧",
            });
        }

        writer.WriteLine();
    }

    private sealed record DataView(string Path, string? Model, string? Template, IReadOnlyDictionary<string, string>? Map, int RowCount, int MaxTokens, string? Split, DateTime Date);
}
