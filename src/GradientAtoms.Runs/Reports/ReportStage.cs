using System.Text.Json.Nodes;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Stages;

namespace GradientAtoms.Runs.Reports;

/// <summary>Everything the run has learnt in; <c>report.html</c> out.</summary>
internal static class ReportStage
{
    public const string Name = "report";

    /// <summary>Options that say where things lie or what they may cost: not in the report, so that it does not change with them.</summary>
    private static readonly string[] Elsewhere = ["out", "memory", "disk", "device", "batch_tokens", "neutral"];

    public static Stage Create(AuditOptions options, ModelFiles model, RunFolder run)
    {
        var shown = ShownOptions(options);
        return new()
        {
            Name = Name,
            Options = shown,
            DependsOn = ["documents", "adapter", "gradients", "coordinates", "dictionary", "certificates", "atoms", "tokens", .. SizesStage.IsAsked(options) ? [SizesStage.Name] : Array.Empty<string>(), .. TimelineStage.IsThere(run) ? [TimelineStage.Name] : Array.Empty<string>()],
            Inputs = File.Exists(run.PathOf(Labels.LabelsFile.Name)) ? [new("labels", run.PathOf(Labels.LabelsFile.Name))] : [],
            Run = context =>
            {
                context.Progress?.Report(new(Name, 0, 1, "files"));
                context.WriteText(RunFiles.Report, ReportPage.Render(ReportBuilder.From(context.Folder, model.Description, shown)));
                context.Progress?.Report(new(Name, 1, 1, "files"));
            },
        };
    }

    /// <summary>Whether every stage that the report reads is done: not in a run that was stopped earlier, or was made before there was one of them.</summary>
    public static bool IsReady(RunFolder run) => ((string[])["documents", "adapter", "gradients", "coordinates", "dictionary", "certificates", "atoms", "tokens"]).All(stage => run.Manifest.Stage(stage) is { IsDone: true });

    /// <summary>The options as resolved; of paths only the last part.</summary>
    private static JsonObject ShownOptions(AuditOptions options)
    {
        var shown = RunJson.Of(options);
        foreach (var name in Elsewhere)
        {
            shown.Remove(name);
        }

        foreach (var name in (string[])["model", "data", "adapter", "chat_template"])
        {
            if (shown[name] is JsonValue path && path.TryGetValue<string>(out var text))
            {
                shown[name] = Path.GetFileName(Path.TrimEndingDirectorySeparator(text));
            }
        }

        return shown;
    }
}
