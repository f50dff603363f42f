using GradientAtoms.Demo.Play;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Stages;

namespace GradientAtoms.Demo;

/// <summary>
/// The whole job on the built-in model and a world of planted behaviours: world, the stages of an ordinary audit, and then what
/// only a demo can do, scoring against the truth and counting what steps do. The run that it leaves is an ordinary one.
/// </summary>
public static class DemoPipeline
{
    /// <summary>The audit of the demo: an ordinary one, with options that suit a small model.</summary>
    /// <param name="options">What the demo plays.</param>
    public static AuditOptions Audit(DemoOptions options) => new()
    {
        Model = DemoModel.Folder,
        Data = Path.Combine(options.Out, WorldStage.Data),
        Neutral = Path.Combine(options.Out, WorldStage.Neutral),
        Out = options.Out,
        Seed = options.Seed,
        TargetModules = "all-linear",
        Epochs = 3,
        LearningRate = 3e-3,
        Damping = 3000,
        Atoms = 34,
        Nonzeros = 2.2,
        Gate = 0.55,
        Starts = 16,
    };

    /// <summary>Plays, or goes on with a play.</summary>
    /// <param name="options">What to do.</param>
    /// <param name="decided">Told for each stage what is done and why, before it is done.</param>
    /// <param name="progress">Told how far a stage is.</param>
    /// <param name="cancellationToken">Leaves a run that the same options continue.</param>
    /// <exception cref="GradientAtomsException">The folder cannot be used, or the built-in model is missing.</exception>
    public static DemoResult Run(DemoOptions options, Action<StageDecision>? decided = null, IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        var audit = AuditOnly(options, Audit(options), decided, progress, cancellationToken);
        var own = RunStages(options, [ScoreStage.Create(options), SteerStage.Create(options)], decided, progress, cancellationToken);
        using var done = RunFolder.OpenRead(options.Out);
        return new(new([.. audit, .. own]), ScoreStage.Read(done), SteerStage.Read(done));
    }

    /// <summary>Makes the world and audits it, and stops before the labels are looked at.</summary>
    internal static IReadOnlyList<StageOutcome> AuditOnly(
        DemoOptions options, AuditOptions audit, Action<StageDecision>? decided = null, IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default) =>
        [.. RunStages(options, [WorldStage.Create(options)], decided, progress, cancellationToken), .. AuditPipeline.Run(audit, decided, progress, cancellationToken).Stages];

    private static List<StageOutcome> RunStages(
        DemoOptions options, IReadOnlyList<Stage> stages, Action<StageDecision>? decided, IProgress<StageProgress>? progress, CancellationToken cancellationToken)
    {
        using var run = RunFolder.Create(options.Out);
        var runner = new StageRunner(run);
        return [.. stages.Select(stage => runner.Run(stage, decided, progress, cancellationToken))];
    }
}
