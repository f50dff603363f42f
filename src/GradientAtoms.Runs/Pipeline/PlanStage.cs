using System.Text.Json;
using System.Text.Json.Nodes;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Planning;
using GradientAtoms.Runs.Stages;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>How the pass over the documents is done: what was asked for, or what fits.</summary>
/// <param name="Kind">How gradients are kept.</param>
/// <param name="SketchSize">Numbers a row, where they are sketched.</param>
/// <param name="BatchTokens">Tokens of a batch at most.</param>
/// <param name="Parameters">Numbers of a gradient; 0 of a run that was planned before blocks were limited by them.</param>
internal sealed record PassChoice(CoordinateKind Kind, int SketchSize, int BatchTokens, long Parameters)
{
    /// <summary>The options that the pass takes.</summary>
    public AuditOptions ApplyTo(AuditOptions options) => options with { BatchTokens = BatchTokens };
}

/// <summary>
/// Decides, before anything long begins, how gradients are kept, and whether the run fits into memory and disk at all. The decision
/// stays with the run: a sitting that goes on with less free disk does not decide anew. The limits are no option of the stage.
/// </summary>
internal static class PlanStage
{
    public const string Name = "plan";

    private const int CodeVersion = 2; // the batches are decided here
    private const double LongSeconds = 120;

    public static Stage Create(AuditOptions options, ModelFiles model) => new()
    {
        Name = Name,
        Version = CodeVersion,
        Options = RunJson.Of(options, [.. (string[])["coordinates", "sketch_size", "sample_share", "atoms", "held_out", "batch_tokens", "rank", "target_modules", "epochs"], .. SizesStage.IsAsked(options) ? ["auto"] : Array.Empty<string>()]),
        DependsOn = [DocumentsStage.Name],
        Inputs = [.. model.TextInputs, .. options.Adapter is { } folder ? ExternalInput.FilesOf("adapter", folder, "adapter_config.json") : []],
        Run = context => Run(context, options, model),
    };

    /// <summary>What was decided.</summary>
    public static PassChoice Read(RunFolder run)
    {
        var notes = run.Manifest.Stage(Name)!.Notes;
        return new(Enum.Parse<CoordinateKind>((string)notes["coordinates"]!, ignoreCase: true), (int)notes["sketch_size"]!, (int)notes["batch_tokens"]!, (long?)notes["parameters"] ?? 0);
    }

    private static void Run(StageContext context, AuditOptions options, ModelFiles model)
    {
        context.Progress?.Report(new(Name, 0, 1, "plans"));
        var documents = DocumentsStage.ReadTokens(context.Folder, DocumentsStage.ReadTexts(context.Folder));
        var request = AuditPlan.Request(options, model.Description, documents);

        var alreadyKept = Kept(context.Folder, options, request.Layout.Size);

        // A probe takes seconds and the weights: it is for runs of minutes, and for those that have a time to keep, while there is something to decide.
        if (alreadyKept is null && (options.Time is not null || Planner.Plan(request with { Budget = Budget.Unlimited }).Seconds > LongSeconds))
        {
            request = request with { Speeds = SpeedProbe.Measure(model, options, documents, context.Progress, context.CancellationToken) };
            context.Notes["probed"] = JsonSerializer.SerializeToNode(request.Speeds, RunJson.Indented);
        }

        var (choice, why) = alreadyKept is { } kept ? (kept, "as the run's gradients are kept already") : Decide(options, request);
        context.Notes["coordinates"] = choice.Kind.ToString().ToLowerInvariant();
        context.Notes["sketch_size"] = choice.SketchSize;
        context.Notes["batch_tokens"] = choice.BatchTokens;
        context.Notes["parameters"] = choice.Parameters;
        context.Notes["why"] = why;
        Predict(context, request with { Coordinates = choice.Kind, SketchSize = choice.SketchSize, BatchTokens = choice.BatchTokens });
        context.Progress?.Report(new(Name, 1, 1, "plans", $"{(choice.Kind == CoordinateKind.Sketch ? $"sketches of {choice.SketchSize} numbers" : choice.Kind.ToString().ToLowerInvariant())}: {why}"));
    }

    // Beside what each stage then takes, which run.json has as well.
    private static void Predict(StageContext context, PlanRequest request)
    {
        var plan = Planner.Plan(request with { Budget = Budget.Unlimited });
        context.Notes["predicted"] = new JsonObject([.. plan.Stages.Select(stage => KeyValuePair.Create<string, JsonNode?>(stage.Name, new JsonObject
        {
            ["seconds"] = Math.Round(stage.Seconds, 1),
            ["memory_bytes"] = stage.MemoryBytes,
        }))]);
        context.Notes["predicted_disk_bytes"] = plan.DiskBytes;
    }

    private static (PassChoice Choice, string Why) Decide(AuditOptions options, PlanRequest request)
    {
        var plan = Planner.Plan(request);
        return (new(plan.Coordinates, plan.Coordinates == CoordinateKind.Sketch ? (int)plan.RowSize : options.SketchSize, plan.BatchTokens, request.Layout.Size), plan.Why);
    }

    // Gradients of the same documents and parameters are not computed anew because the disk has filled up since, or because atoms are asked for in another number.
    private static PassChoice? Kept(RunFolder run, AuditOptions options, long parameters)
    {
        var documents = run.Manifest.Stage(DocumentsStage.Name)!.OutputHash;
        if (options.Coordinates != CoordinateKind.Auto
            || run.Manifest.Stage(GradientsStage.Name) is not { IsDone: true } gradients
            || gradients.Upstream.GetValueOrDefault(DocumentsStage.Name) != documents
            || (long?)gradients.Notes["parameters"] != parameters)
        {
            return null;
        }

        var batchTokens = (int)gradients.Options["batch_tokens"]!;
        var before = (long?)run.Manifest.Stage(Name)?.Notes["parameters"] ?? 0;
        if ((string?)gradients.Options["kept"] != "sketch")
        {
            return new(CoordinateKind.Exact, options.SketchSize, batchTokens, before);
        }

        var asked = (int?)run.Manifest.Stage(Name)?.Options["sketch_size"];
        return asked == options.SketchSize ? new(CoordinateKind.Sketch, (int)gradients.Options["sketch_size"]!, batchTokens, before) : null;
    }
}
