using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Stages;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>What an audit did.</summary>
/// <param name="Stages">Every stage, in order, with what was done and why.</param>
public sealed record AuditResult(IReadOnlyList<StageOutcome> Stages)
{
    /// <summary>Whether everything was there already.</summary>
    public bool NothingToDo => Stages.All(stage => stage.Decision.Reuse);
}

/// <summary>Joins the stages: documents, plan, adapter, gradients and curvature, coordinates, sizes where they are asked for, dictionary, certificates, atoms, tokens, report.</summary>
public static class AuditPipeline
{
    /// <summary>Runs an audit, or goes on with one.</summary>
    /// <param name="options">What to do.</param>
    /// <param name="decided">Told for each stage what is done and why, before it is done.</param>
    /// <param name="progress">Told how far a stage is.</param>
    /// <param name="cancellationToken">Leaves a run that the same options continue.</param>
    /// <exception cref="GradientAtomsException">Something that the user can put right.</exception>
    public static AuditResult Run(AuditOptions options, Action<StageDecision>? decided = null, IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        using var model = new ModelFiles(options.Model, options.Device, options.Adapter);
        using var run = RunFolder.Create(options.Out);
        options = options with { Date = DateOf(options, run) };
        run.Describe(Described(options), options.Seed);
        var runner = new StageRunner(run);
        var outcomes = new List<StageOutcome>();
        foreach (var (stop, make) in Stages(options, model, run))
        {
            try
            {
                outcomes.Add(runner.Run(make(), decided, progress, cancellationToken));
            }
            catch (StopAsked)
            {
                break;
            }

            if (stop == AuditStop.Gradients)
            {
                ShardFolders.RemoveMerged(run, outcomes[^1].Record);
            }

            if (options.Until is { } until && until <= stop)
            {
                break;
            }
        }

        run.Save();
        return new(outcomes);
    }

    /// <summary>Every stage behind which an audit can stop, to be made when it is its turn: later ones read what earlier ones decided.</summary>
    internal static IEnumerable<(AuditStop? Stop, Func<Stage> Make)> Stages(AuditOptions options, ModelFiles model, RunFolder run) =>
    [
        (AuditStop.Documents, () => DocumentsStage.Create(options, model)),
        (AuditStop.Plan, () => PlanStage.Create(options, model)),
        (AuditStop.Adapter, () => AdapterStage.Create(options, model)),
        (AuditStop.Gradients, () => GradientsStage.Create(options, model, PlanStage.Read(run))),
        (AuditStop.Coordinates, () => CoordinatesStage.Create(options, model, PlanStage.Read(run).Kind)),
        .. SizesStage.IsAsked(options) ? [(null, () => SizesStage.Create(options))] : Array.Empty<(AuditStop?, Func<Stage>)>(),
        (AuditStop.Dictionary, () => DictionaryStage.Create(options)),
        (AuditStop.Certificates, () => CertificatesStage.Create(options)),
        (AuditStop.Atoms, () => AtomsStage.Create(model)),
        (null, () => TokensStage.Create(PlanStage.Read(run).ApplyTo(options), model)),
        (null, () => Reports.ReportStage.Create(options, model, run)),
    ];

    // A template that asks for the day would write other texts tomorrow: the first start's day is the run's.
    internal static DateTime? DateOf(AuditOptions options, RunFolder run)
    {
        var recorded = run.Manifest.Options?["date"] is System.Text.Json.Nodes.JsonValue date && date.TryGetValue(out string? text) ? text : null;
        return options.Date
            ?? (DateTime.TryParse(recorded, System.Globalization.CultureInfo.InvariantCulture, System.Globalization.DateTimeStyles.None, out var day) ? day
            : TemplateOf(options)?.Source.Contains("strftime_now", StringComparison.Ordinal) == true ? DateTime.Today
            : null);
    }

    private static Text.ChatTemplates.ChatTemplate? TemplateOf(AuditOptions options) => options.ChatTemplate is { } file
        ? Text.ChatTemplates.ChatTemplateFile.FromFile(file)
        : Models.LoadedModel.ReadText(options.Model).ChatTemplate;

    // As the manifest keeps them: where model and data lie, so that other commands find them from any folder; not what the machine gave.
    private static System.Text.Json.Nodes.JsonObject Described(AuditOptions options) => RunJson.Of(options with
    {
        Model = Path.Exists(options.Model) ? Path.GetFullPath(options.Model) : options.Model,
        Data = Path.GetFullPath(options.Data),
        Adapter = options.Adapter is { } adapter ? Path.GetFullPath(adapter) : null,
        Neutral = options.Neutral is { } neutral ? Path.GetFullPath(neutral) : null,
        Out = "",
        Memory = null,
        Disk = null,
        Time = null,
        Until = null,
    });

    /// <summary>Tunes an adapter and stops there.</summary>
    /// <param name="options">What to do; <see cref="AuditOptions.Adapter"/> is null.</param>
    /// <param name="decided">Told for each stage what is done and why.</param>
    /// <param name="progress">Told how far a stage is.</param>
    /// <param name="cancellationToken">Leaves a run that the same options continue.</param>
    public static AuditResult Tune(AuditOptions options, Action<StageDecision>? decided = null, IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        using var model = new ModelFiles(options.Model, options.Device);
        using var run = RunFolder.Create(options.Out);
        options = options with { Date = DateOf(options, run) };
        run.Describe(Described(options), options.Seed);
        var runner = new StageRunner(run);
        var result = new AuditResult([.. new[] { DocumentsStage.Create(options, model), AdapterStage.Create(options, model) }
            .Select(stage => runner.Run(stage, decided, progress, cancellationToken))]);
        run.Save();
        return result;
    }
}
