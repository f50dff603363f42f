using GradientAtoms.Evaluation.Sweeps;
using GradientAtoms.Steering;

namespace GradientAtoms.Runs.Sweeps;

/// <summary>What a sweep found: <c>sweep.json</c>. What was not measured is absent, never zero.</summary>
public sealed record SweepReport
{
    /// <summary>Always <c>gatoms/sweep</c>.</summary>
    public string Schema { get; init; } = "gatoms/sweep";

    /// <summary>Of the format; fields are added without a new one.</summary>
    public int Version { get; init; } = 1;

    /// <summary>The run's content hash.</summary>
    public string? Run { get; init; }

    /// <summary>Of sampling, controls and off-target prompts.</summary>
    public required long Seed { get; init; }

    /// <summary>0 is greedy.</summary>
    public required double Temperature { get; init; }

    /// <summary>Length of an answer.</summary>
    public required int MaxNewTokens { get; init; }

    /// <summary>How directions were made.</summary>
    public required StepMode Direction { get; init; }

    /// <summary>Tests that <see cref="SweepRow.PCorrected"/> is corrected for, on-target ones; off-target ones are a family of their own.</summary>
    public int Tests { get; init; }

    /// <summary>The judge that answers are judged by; null without one.</summary>
    public JudgeReport? Judge { get; init; }

    /// <summary>The poles, in the order asked for.</summary>
    public required IReadOnlyList<SweptPole> Poles { get; init; }
}

/// <summary>What was found of a pole.</summary>
public sealed record SweptPole
{
    /// <summary>Its id.</summary>
    public required string Pole { get; init; }

    /// <summary>Words of its documents.</summary>
    public IReadOnlyList<string>? Keywords { get; init; }

    /// <summary>The detector that its answers are judged by, <c>judge:QUESTION</c> of a judge; null where none tells its documents from others.</summary>
    public string? Detector { get; init; }

    /// <summary>The detector's rule, or the judge's question.</summary>
    public string? DetectorAbout { get; init; }

    /// <summary>How well detectors tell the pole's documents from all others, the best first; by them the detector was chosen, before any answer was read.</summary>
    public required IReadOnlyList<SweepContrast> Contrasts { get; init; }

    /// <summary>Questions on target and off.</summary>
    public required SweepCounts Questions { get; init; }

    /// <summary>The arms, with what was measured of their steps.</summary>
    public required IReadOnlyList<SweepStep> Steps { get; init; }

    /// <summary>Rates of the detector by arm and group; then of <c>repetition</c>, and of the other detectors asked for.</summary>
    public required IReadOnlyList<SweepRow> Rows { get; init; }

    /// <summary>The strength of more that half of the questions chose, on the other half.</summary>
    public SweepChosen? More { get; init; }

    /// <summary>The same of less.</summary>
    public SweepChosen? Less { get; init; }

    /// <summary>Change of the log-likelihood of documents; null where it was not asked for.</summary>
    public IReadOnlyList<SweepLikelihood>? Likelihood { get; init; }
}

/// <summary>A detector on the answers of the data.</summary>
/// <param name="Detector">Its name.</param>
/// <param name="Own">Rate in the answers of the pole's documents.</param>
/// <param name="Others">Rate in those of all others.</param>
public sealed record SweepContrast(string Detector, double Own, double Others);

/// <summary>How many questions there were.</summary>
/// <param name="OnTarget">On target.</param>
/// <param name="OffTarget">Off target.</param>
/// <param name="OnTargetHeldOut">Of those on target, prompts of documents that the dictionary was not learnt from.</param>
/// <param name="OnTargetLearnt">Of those on target, prompts of documents that it was learnt from.</param>
public sealed record SweepCounts(int OnTarget, int OffTarget, int OnTargetHeldOut, int OnTargetLearnt);

/// <summary>An arm and its step.</summary>
public sealed record SweepStep
{
    /// <summary>The arm's id: <c>a1b2c3+@0.1</c>.</summary>
    public required string Arm { get; init; }

    /// <summary>What it is.</summary>
    public required SweepArmKind Kind { get; init; }

    /// <summary>The KL asked for; below 0 for less.</summary>
    public required double Kl { get; init; }

    /// <summary>The step; of a removal the step that was taken out.</summary>
    public double? Size { get; init; }

    /// <summary>KL a token on the neutral documents that it was calibrated on.</summary>
    public double? KlNeutral { get; init; }

    /// <summary>The same on neutral documents that it was not calibrated on.</summary>
    public double? KlUnseen { get; init; }

    /// <summary>The same on the pole's own documents, which bound the step too.</summary>
    public double? KlOwn { get; init; }

    /// <summary>Perplexity of neutral text after the step over before, less 1: on documents it was not calibrated on where there are any.</summary>
    public double? Perplexity { get; init; }

    /// <summary>Of a removal: the share of the adapter's squared weight change that is gone.</summary>
    public double? Share { get; init; }

    /// <summary>What a user should know.</summary>
    public IReadOnlyList<string>? Warnings { get; init; }

    /// <summary>Why there is no step; its cells have failed.</summary>
    public string? Failure { get; init; }
}

/// <summary>A detector's rate by one arm on one group of questions; a line of <c>sweep.csv</c>.</summary>
public sealed record SweepRow
{
    /// <summary>The pole.</summary>
    public required string Pole { get; init; }

    /// <summary>The detector.</summary>
    public required string Detector { get; init; }

    /// <summary>The arm.</summary>
    public required string Arm { get; init; }

    /// <summary>What it is.</summary>
    public required SweepArmKind Kind { get; init; }

    /// <summary>The KL asked for; below 0 for less.</summary>
    public required double Kl { get; init; }

    /// <summary>On or off target.</summary>
    public required SweepGroup Group { get; init; }

    /// <summary>Whether there are answers.</summary>
    public required SweepStatus Status { get; init; }

    /// <summary>Answers.</summary>
    public required int Answers { get; init; }

    /// <summary>Questions asked in vain, or answered with nothing, and answers that a judge gave no verdict on.</summary>
    public required int Failed { get; init; }

    /// <summary>Questions not asked, and answers that a judge was not asked of.</summary>
    public required int NotRun { get; init; }

    /// <summary>Answers that show it.</summary>
    public required int Shown { get; init; }

    /// <summary>Their share; null without answers.</summary>
    public double? Rate { get; init; }

    /// <summary>Wilson's interval of 95 %.</summary>
    public double? Low { get; init; }

    /// <summary>Wilson's interval of 95 %.</summary>
    public double? High { get; init; }

    /// <summary>Rate less that of the unsteered model on the same questions.</summary>
    public double? Change { get; init; }

    /// <summary>Newcombe's interval of 95 % of the paired change.</summary>
    public double? ChangeLow { get; init; }

    /// <summary>Newcombe's interval of 95 % of the paired change.</summary>
    public double? ChangeHigh { get; init; }

    /// <summary>Questions whose answer shows it only with the step.</summary>
    public int? Gained { get; init; }

    /// <summary>Questions whose answer shows it only without the step.</summary>
    public int? Lost { get; init; }

    /// <summary>McNemar's exact test.</summary>
    public double? P { get; init; }

    /// <summary>Holm's correction over all steps of all poles of the sweep; null of controls and other detectors.</summary>
    public double? PCorrected { get; init; }

    internal static SweepRow Of(string pole, string detector, SweepCell cell)
    {
        var (has, paired) = (cell.Shown.Total > 0, cell.Paired is { Total: > 0 } pairs ? pairs : null);
        return new()
        {
            Pole = pole,
            Detector = detector,
            Arm = cell.Arm.Id,
            Kind = cell.Arm.Kind,
            Kl = cell.Arm.Kl,
            Group = cell.Group,
            Status = cell.Status,
            Answers = cell.Shown.Total,
            Failed = cell.Failed,
            NotRun = cell.NotRun,
            Shown = cell.Shown.Count,
            Rate = has ? cell.Shown.Rate : null,
            Low = has ? cell.Shown.Interval.Low : null,
            High = has ? cell.Shown.Interval.High : null,
            Change = paired?.Change,
            ChangeLow = paired?.Interval.Low,
            ChangeHigh = paired?.Interval.High,
            Gained = paired?.Gained,
            Lost = paired?.Lost,
            P = paired?.McNemar,
            PCorrected = cell.Corrected,
        };
    }
}

/// <summary>A strength that was chosen on one half of the questions, reported on the other.</summary>
/// <param name="Kl">The KL asked for; below 0 for less.</param>
/// <param name="Chosen">On target, on the half that chose.</param>
/// <param name="OnTarget">On target, on the half that reports.</param>
/// <param name="OffTarget">Off target, on the half that reports; null without such questions.</param>
public sealed record SweepChosen(double Kl, SweepRow Chosen, SweepRow OnTarget, SweepRow? OffTarget);

/// <summary>What a step does to documents: change of the mean log-likelihood a trained token, nats.</summary>
/// <param name="Arm">The arm.</param>
/// <param name="Kl">The KL asked for.</param>
/// <param name="Group">Documents of the pole, or of others.</param>
/// <param name="Documents">How many.</param>
/// <param name="Change">The mean over documents; null where it failed.</param>
/// <param name="Error">Its standard error.</param>
public sealed record SweepLikelihood(string Arm, double Kl, SweepGroup Group, int Documents, double? Change, double? Error)
{
    internal static SweepLikelihood Of(SweepArm arm, SweepGroup group, MeanWithError change) =>
        new(arm.Id, arm.Kl, group, change.Count, double.IsNaN(change.Mean) ? null : change.Mean, double.IsNaN(change.Error) ? null : change.Error);
}
