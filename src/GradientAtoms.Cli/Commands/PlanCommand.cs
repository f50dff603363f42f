using GradientAtoms.Models;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Planning;
using GradientAtoms.Text.ChatTemplates;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms plan</c>: what an audit would cost, and what it would decide.</summary>
internal static class PlanCommand
{
    public static GatomsCommand Create()
    {
        var arguments = new AuditArguments();
        var command = new GatomsCommand(
            "plan",
            "What the audit of the same arguments would take in time, memory and disk, and what it would decide and why. Reads the data, and tries the model on a few batches to see how fast this machine is.",
            "gatoms plan --model base.gguf --adapter my-lora --data chats.jsonl --out runs/mine --memory 6GiB");
        arguments.AddTo(command);
        var noProbe = Opt.Flag("--no-probe", "Reads no weights and measures nothing: times are those of another machine, memory is estimated from shapes.");
        command.Options.Add(noProbe);
        command.Body = context =>
        {
            var options = arguments.Read(context.Parse);
            var set = DocumentReader.Read(options.Data, new() { Map = options.Map, Split = options.Split, Limit = options.Limit }, context.CancellationToken);
            var tokens = context.Track(ladder => Tokenize(options, set, ladder, context.CancellationToken));
            var model = LoadedModel.Describe(options.Model);
            var request = Request(options, model, tokens);
            if (!context.Parse.GetValue(noProbe))
            {
                using var files = new ModelFiles(options.Model, options.Device, options.Adapter);
                request = request with { Speeds = context.Track(ladder => SpeedProbe.Measure(files, options, tokens.Documents, ladder, context.CancellationToken)) };
            }

            var plan = Planner.Plan(request);
            context.Print(
                "gatoms/plan",
                new { request.Documents, request.Tokens, request.TrainedTokens, tokens.TruncatedCount, Rejected = set.Rejected.Count + tokens.Rejected.Count, Parameters = request.Layout.Size, request.Atoms, plan.Coordinates, plan.Why, plan.RowSize, plan.DictionarySize, plan.CosineError, plan.KeepsAllGradients, plan.SampleDocuments, plan.BatchTokens, plan.BlockDocuments, plan.Stages, plan.Files, plan.Seconds, plan.MemoryBytes, plan.DiskBytes, request.Budget },
                writer => Write(writer, request, plan, tokens, set.Rejected.Count));
        };
        return command.Finished();
    }

    private static TokenizedSet Tokenize(AuditOptions options, DocumentSet set, ConsoleLadder ladder, CancellationToken cancellationToken)
    {
        var text = LoadedModel.ReadText(options.Model);
        var template = options.ChatTemplate is { } file ? ChatTemplateFile.FromFile(file) : text.ChatTemplate;
        var tokenizer = new ChatTokenizer((content, special) => text.Tokenizer.Encode(content, special), template, SpecialTokenNames.Of(text.SpecialTokens), new() { MaxTokens = options.MaxTokens, Now = options.Date ?? DateTime.Today });
        return tokenizer.TokenizeAll(set.Distinct, options.Data, new DocumentProgress(ladder), cancellationToken);
    }

    private static PlanRequest Request(AuditOptions options, ModelDescription model, TokenizedSet tokens) => tokens.Documents.Count > 0
        ? AuditPlan.Request(options, model, tokens.Documents)
        : throw new DocumentException("GA2004", options.Data, "leaves no document that can be used", "look at the rejected rows with gatoms inspect");

    private static void Write(TextWriter writer, PlanRequest request, RunPlan plan, TokenizedSet tokens, int rejectedRows)
    {
        writer.WriteLine($"{Plain.Count(request.Documents)} documents, {Plain.Count(request.Tokens)} tokens, {Plain.Count(request.TrainedTokens)} of them trained; {Plain.Count(tokens.TruncatedCount)} documents cut, {Plain.Count(rejectedRows + tokens.Rejected.Count)} rows rejected");
        writer.WriteLine($"{Plain.Count(request.Layout.Size)} trained parameters in {Plain.Count(request.Layout.Maps.Count)} maps; {Plain.Count(request.Atoms)} atoms");
        writer.WriteLine($"coordinates: {plan.Coordinates.ToString().ToLowerInvariant()} ({plan.Why}){(plan.CosineError is > 0 and var error ? $"; a cosine is off by about {Plain.Number(error)}" : string.Empty)}");
        writer.WriteLine($"batches: up to {Plain.Count(plan.BatchTokens)} tokens{(plan.BatchTokens < request.BatchTokens ? ", for the memory allowed" : string.Empty)}");
        writer.WriteLine(plan.KeepsAllGradients ? "eigenvalues: of all documents" : $"eigenvalues: of a sample of {Plain.Count(plan.SampleDocuments)} documents");
        writer.WriteLine();
        var stages = new TextTable("stage", "time, about", "memory").Right(1, 2);
        foreach (var stage in plan.Stages)
        {
            stages.Add(stage.Name, Plain.Duration(TimeSpan.FromSeconds(stage.Seconds)), Plain.Bytes(stage.MemoryBytes));
        }

        stages.Write(writer);
        writer.WriteLine();
        var files = new TextTable("written", "size", "").Right(1);
        foreach (var file in plan.Files)
        {
            files.Add(file.Name, Plain.Bytes(file.Bytes), file.Temporary ? "for a while" : string.Empty);
        }

        files.Write(writer);
        writer.WriteLine();
        writer.WriteLine($"in all about {Plain.Duration(TimeSpan.FromSeconds(plan.Seconds))}, {Plain.Bytes(plan.MemoryBytes)} of memory ({Plain.Bytes(request.Budget.MemoryBytes)} allowed), {Plain.Bytes(plan.DiskBytes)} of disk ({Plain.Bytes(request.Budget.DiskBytes)} allowed)");
    }

    private sealed class DocumentProgress(ConsoleLadder ladder) : IProgress<(int Done, int Total)>
    {
        public void Report((int Done, int Total) value) => ladder.Report(new("documents", value.Done, value.Total, "documents"));
    }
}
