using GradientAtoms.Runs.Planning;
using GradientAtoms.Runs.Stages;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>What one process has done of a pass.</summary>
public sealed record ShardResult
{
    /// <summary>Which part.</summary>
    public required ShardId Shard { get; init; }

    /// <summary><c>covariances</c>, or <c>sketches</c> for the second pass where gradients are sketched; null where the run has its gradients already.</summary>
    public string? Pass { get; init; }

    /// <summary>Its blocks, for people.</summary>
    public string? Range { get; init; }

    /// <summary>What was done and why; null where nothing was to be done.</summary>
    public StageOutcome? Outcome { get; init; }

    /// <summary>Parts of the same pass that are not finished.</summary>
    public IReadOnlyList<ShardId> Missing { get; init; } = [];

    /// <summary>Whether a second pass follows, for which every shard is run once more.</summary>
    public bool HasSecondPass { get; init; }
}

/// <summary>
/// Does one part of the passes over the documents, beside other processes that do the others in the same run folder, here or on
/// other machines. <see cref="AuditPipeline"/> puts them together and goes on.
/// </summary>
public static class ShardPipeline
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    /// <summary>Does a part, or goes on with it. What comes before the gradients is done first, by the one process that is the first to begin.</summary>
    /// <param name="options">Of the audit; the same for every part.</param>
    /// <param name="shard">Which part.</param>
    /// <param name="decided">Told for each stage what is done and why.</param>
    /// <param name="progress">Told how far a stage is.</param>
    /// <param name="cancellationToken">Leaves a part that the same options continue.</param>
    /// <exception cref="RunFolderException">GA2603 another process does this part; GA2624 the run was prepared with other options; GA2625 there are more parts than blocks of documents.</exception>
    public static ShardResult Run(AuditOptions options, ShardId shard, Action<StageDecision>? decided = null, IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(shard);
        using var model = new ModelFiles(options.Model, options.Device, options.Adapter);
        Until(AuditStop.Adapter, options, () => IsPrepared(options, model, cancellationToken), decided, progress, cancellationToken);
        while (true)
        {
            using var run = RunFolder.OpenRead(options.Out);
            options = options with { Date = AuditPipeline.DateOf(options, run) };
            var whole = GradientsStage.Create(options, model, PlanStage.Read(run));
            var decision = new StageRunner(run).Decide(whole, cancellationToken);
            if (decision.Reuse)
            {
                return new() { Shard = shard };
            }

            var isSketch = PlanStage.Read(run).Kind == CoordinateKind.Sketch;
            if (isSketch && SketchStage.HasSample(run, decision.InputHash))
            {
                return Do(run, whole, ShardStage.Sketches, options, model, shard, decided, progress, cancellationToken);
            }

            if (!isSketch || !IsFirstPassDone(run, whole, options, model, shard, cancellationToken))
            {
                return Do(run, whole, ShardStage.Covariances, options, model, shard, decided, progress, cancellationToken) with { HasSecondPass = isSketch };
            }

            // The whole first pass is there: the first process that comes puts it together for the second one.
            Until(AuditStop.Curvature, options, () => IsMerged(options, model, cancellationToken), decided, progress, cancellationToken);
        }
    }

    /// <summary>How gradients will be kept, where the run has its documents and its plan from the same options and inputs. Only reads.</summary>
    /// <param name="options">Of the audit.</param>
    /// <param name="cancellationToken">Ends the hashing of input files.</param>
    /// <returns>Null where nothing is decided yet.</returns>
    public static CoordinateKind? Decided(AuditOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (!RunFolder.IsRun(options.Out))
        {
            return null;
        }

        using var model = new ModelFiles(options.Model, options.Device, options.Adapter);
        using var run = RunFolder.OpenRead(options.Out);
        options = options with { Date = AuditPipeline.DateOf(options, run) };
        var runner = new StageRunner(run);
        return AuditPipeline.Stages(options, model, run).TakeWhile(stage => stage.Stop <= AuditStop.Plan).All(stage => runner.Decide(stage.Make(), cancellationToken).Reuse)
            ? PlanStage.Read(run).Kind
            : null;
    }

    private static ShardResult Do(
        RunFolder run, Stage whole, string pass, AuditOptions options, ModelFiles model, ShardId shard, Action<StageDecision>? decided, IProgress<StageProgress>? progress, CancellationToken cancellationToken)
    {
        var stage = ShardStage.Create(run, whole, pass, options, model, shard);
        using (var folder = ShardFolders.Create(run, pass, shard))
        {
            ShardFolders.RemoveDamaged(folder, cancellationToken);
            var outcome = new StageRunner(folder) { Upstream = run }.Run(stage, decided, progress, cancellationToken);
            folder.Save();
            var range = stage.Options[ShardStage.Option]!;
            return new()
            {
                Shard = shard,
                Pass = pass,
                Range = new BlockRange((int)range["first_block"]!, (int)range["end_block"]!).ToString(),
                Outcome = outcome,
                Missing = ShardFolders.Unfinished(run, pass, shard.Count),
            };
        }
    }

    // Runs the audit up to a stage, or waits for the process that does.
    private static void Until(
        AuditStop stop, AuditOptions options, Func<bool> isThere, Action<StageDecision>? decided, IProgress<StageProgress>? progress, CancellationToken cancellationToken)
    {
        while (!isThere())
        {
            cancellationToken.ThrowIfCancellationRequested();
            try
            {
                AuditPipeline.Run(options with { Until = stop }, decided, progress, cancellationToken);
                return;
            }
            catch (RunFolderException held) when (held.Code == "GA2603")
            {
                progress?.Report(new("wait", 0, 1, "runs", $"{held.Problem}; this shard begins when it is ready"));
                cancellationToken.WaitHandle.WaitOne(Patience);
            }
        }
    }

    private static bool IsPrepared(AuditOptions options, ModelFiles model, CancellationToken cancellationToken)
    {
        if (!RunFolder.IsRun(options.Out))
        {
            return false;
        }

        using var run = RunFolder.OpenRead(options.Out);
        options = options with { Date = AuditPipeline.DateOf(options, run) };
        var runner = new StageRunner(run);
        foreach (var (_, make) in AuditPipeline.Stages(options, model, run).TakeWhile(stage => stage.Stop <= AuditStop.Adapter))
        {
            var stage = make();
            var before = run.Manifest.Stage(stage.Name);
            var decision = runner.Decide(stage, cancellationToken);
            if (decision.Reuse)
            {
                continue;
            }

            // Another shard may be at work with what is there: it is not taken away under its feet.
            return before is not { IsDone: true } || before.InputHash == decision.InputHash
                ? false
                : throw new RunFolderException(
                    "GA2624",
                    options.Out,
                    $"was prepared with other options or inputs than this shard has (stage {stage.Name}: {decision.Reason})",
                    "Give the same options for every shard. To begin anew with these, run `gatoms audit ... --until adapter` once, then every shard.");
        }

        return true;
    }

    private static bool IsFirstPassDone(RunFolder run, Stage whole, AuditOptions options, ModelFiles model, ShardId shard, CancellationToken cancellationToken)
    {
        if (ShardFolders.Unfinished(run, ShardStage.Covariances, shard.Count).Count > 0)
        {
            return false;
        }

        var expected = new StageRunner(run).Describe(whole, cancellationToken);
        return ShardFolders.Of(run, ShardStage.Covariances).All(stored => stored.Record is { } record && ShardFolders.Foreign(record, expected).Count == 0);
    }

    private static bool IsMerged(AuditOptions options, ModelFiles model, CancellationToken cancellationToken)
    {
        using var run = RunFolder.OpenRead(options.Out);
        var decision = new StageRunner(run).Decide(GradientsStage.Create(options, model, PlanStage.Read(run)), cancellationToken);
        return decision.Reuse || SketchStage.HasSample(run, decision.InputHash);
    }
}
