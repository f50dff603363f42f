using System.Globalization;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Stages;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>What a timeline is made of.</summary>
public sealed record TimelineOptions
{
    /// <summary>Folders of checkpoints, in the order of the training; empty: those that the run's own fine-tune kept, else those beside its adapter.</summary>
    public IReadOnlyList<string> Checkpoints { get; init; } = [];

    /// <summary>Documents a pole that are measured, its strongest.</summary>
    public int Documents { get; init; } = 20;

    /// <summary>The model, where it has moved since the audit; null: where it was.</summary>
    public string? Model { get; init; }
}

/// <summary>When each pole of a finished run was learnt: measured at checkpoints of the fine-tune, kept with the run and shown in its report.</summary>
public static class TimelinePipeline
{
    /// <summary>Makes a timeline, or reuses the one that is there.</summary>
    /// <param name="path">The run folder.</param>
    /// <param name="options">What to do.</param>
    /// <param name="decided">Told for each stage what is done and why, before it is done.</param>
    /// <param name="progress">Told how far a stage is.</param>
    /// <param name="cancellationToken">Looked at once a batch.</param>
    /// <returns>What was done, and the timeline.</returns>
    /// <exception cref="RunFolderException">GA2607: the run is not finished; GA2613: there is no checkpoint.</exception>
    /// <exception cref="AdapterException">GA24xx: a checkpoint does not belong to the model.</exception>
    public static (AuditResult Result, Timeline Timeline) Run(
        string path, TimelineOptions? options = null, Action<StageDecision>? decided = null, IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        options ??= new();
        using var run = RunFolder.Open(path);
        var audit = RunReader.ReadOptions(run) with { Out = path };
        var adapter = run.PathOf(RunFiles.Adapter);
        using var model = new ModelFiles(options.Model ?? audit.Model, audit.Device, PeftAdapter.IsAdapter(adapter) ? adapter : null);
        _ = run.Need(RunFiles.Atoms);
        var runner = new StageRunner(run);
        var outcomes = new List<StageOutcome>
        {
            runner.Run(TimelineStage.Create(audit, model, Checkpoints(run, audit, options), options.Documents), decided, progress, cancellationToken),
        };
        if (Reports.ReportStage.IsReady(run))
        {
            outcomes.Add(runner.Run(Reports.ReportStage.Create(audit, model, run), decided, progress, cancellationToken));
        }

        run.Save();
        return (new(outcomes), Timeline.Read(run.Need(TimelineStage.File)));
    }

    // The audited adapter is the last, but where a checkpoint holds the same.
    private static List<(int? Step, string Name, string Folder)> Checkpoints(RunFolder run, AuditOptions audit, TimelineOptions options)
    {
        var adapter = run.PathOf(RunFiles.Adapter);
        IReadOnlyList<(int Step, string Folder)> found = AdapterStage.CheckpointsIn(adapter) is { Count: > 0 } own ? own : audit.Adapter is { } given ? Beside(given) : [];
        List<(int? Step, string Name, string Folder)> checkpoints = options.Checkpoints.Count > 0
            ? [.. options.Checkpoints.Select(folder => (StepOf(folder), Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder))), Path.GetFullPath(folder)))]
            : [.. found.Select(checkpoint => ((int?)checkpoint.Step, Path.GetFileName(checkpoint.Folder), checkpoint.Folder))];
        if (checkpoints.Count == 0)
        {
            throw new RunFolderException(
                "GA2613", run.Path, "has no checkpoints of its fine-tune", "Name their folders with --checkpoint, in the order of the training; or tune again with --checkpoints COUNT, which needs another --out.");
        }

        if (checkpoints.FirstOrDefault(checkpoint => !PeftAdapter.IsAdapter(checkpoint.Folder)).Folder is { } missing)
        {
            throw new RunFolderException("GA2613", missing, "is no adapter: it has no adapter_config.json", "Name folders that peft wrote, such as checkpoint-100 of a trainer's output.");
        }

        checkpoints.RemoveAll(checkpoint => Same(checkpoint.Folder, adapter));
        var steps = run.Manifest.Stage(AdapterStage.Name)?.Notes["steps"] is { } tuned ? (int?)(int)tuned : null;
        checkpoints.Add((steps, "end", adapter));
        return checkpoints;
    }

    // A trainer's output folder holds the adapter and its checkpoints; or the adapter is one of several checkpoints itself, and later ones are not of its past.
    private static IReadOnlyList<(int Step, string Folder)> Beside(string adapter) => AdapterStage.CheckpointsIn(adapter) is { Count: > 0 } inside ? inside
        : StepOf(adapter) is { } own && Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(adapter))) is { } parent ? [.. AdapterStage.CheckpointsIn(parent).Where(checkpoint => checkpoint.Step < own)]
        : [];

    private static int? StepOf(string folder)
    {
        var name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)));
        return name.StartsWith(AdapterStage.CheckpointPrefix, StringComparison.Ordinal) && int.TryParse(name.AsSpan(AdapterStage.CheckpointPrefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var step) ? step : null;
    }

    private static bool Same(string one, string other)
    {
        FileInfo[] files = [new(Path.Combine(one, "adapter_model.safetensors")), new(Path.Combine(other, "adapter_model.safetensors"))];
        return files.All(file => file.Exists) && files[0].Length == files[1].Length && FileHash.OfFile(files[0].FullName) == FileHash.OfFile(files[1].FullName);
    }
}
