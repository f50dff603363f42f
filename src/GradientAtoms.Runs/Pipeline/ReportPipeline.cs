using GradientAtoms.Models.Adapters;
using GradientAtoms.Runs.Stages;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>The report of a finished run alone: for what is added to a run after its audit.</summary>
public static class ReportPipeline
{
    /// <summary>Makes the report again where something that it shows has changed; does nothing in a run that lacks a stage of it.</summary>
    /// <param name="path">The run folder.</param>
    /// <param name="decided">Told what is done and why, before it is done.</param>
    /// <param name="progress">Told how far it is.</param>
    /// <param name="cancellationToken">Looked at before it begins.</param>
    public static AuditResult Run(string path, Action<StageDecision>? decided = null, IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        using var run = RunFolder.Open(path);
        if (!Reports.ReportStage.IsReady(run))
        {
            return new([]);
        }

        var audit = RunReader.ReadOptions(run) with { Out = path };
        var adapter = run.PathOf(RunFiles.Adapter);
        using var model = new ModelFiles(audit.Model, audit.Device, PeftAdapter.IsAdapter(adapter) ? adapter : null);
        var outcome = new StageRunner(run).Run(Reports.ReportStage.Create(audit, model, run), decided, progress, cancellationToken);
        run.Save();
        return new([outcome]);
    }
}
