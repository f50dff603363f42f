using GradientAtoms.Certificates;

namespace GradientAtoms.Evaluation.Sweeps;

/// <summary>Which prompts a question belongs to; the two are never pooled.</summary>
public enum SweepGroup
{
    /// <summary>Those that the step is meant for.</summary>
    OnTarget,

    /// <summary>Controls, of other poles.</summary>
    OffTarget,
}

/// <summary>What a question is for.</summary>
public enum SweepHalf
{
    /// <summary>The strength is chosen on its answers.</summary>
    Choose,

    /// <summary>The chosen strength is reported on its answers.</summary>
    Report,
}

/// <summary>A question of a sweep.</summary>
/// <param name="Id">Unique in the sweep.</param>
/// <param name="Group">On or off target.</param>
/// <param name="Half">What it is for.</param>
public sealed record SweepQuestion(string Id, SweepGroup Group, SweepHalf Half);

/// <summary>What answers a question.</summary>
public enum SweepArmKind
{
    /// <summary>The run's adapter without a step.</summary>
    Unsteered,

    /// <summary>A step along the pole.</summary>
    Pole,

    /// <summary>A step in a random direction that has the same KL on neutral documents: a control.</summary>
    Random,

    /// <summary>The adapter from which the atom's direction was projected out.</summary>
    Removed,
}

/// <summary>A way of answering.</summary>
/// <param name="Id">Unique in the sweep.</param>
/// <param name="Kind">What it is.</param>
/// <param name="Kl">The strength asked for, nats a token; below 0 for less of the pole; 0 without a step.</param>
public sealed record SweepArm(string Id, SweepArmKind Kind, double Kl);

/// <summary>What became of a question.</summary>
public enum SweepOutcome
{
    /// <summary>It was not asked, or a judge not of its answer.</summary>
    NotRun,

    /// <summary>It was asked and there is no answer, an empty one, or one that a judge gave no verdict on.</summary>
    Failed,

    /// <summary>The answer does not show the behaviour.</summary>
    NotShown,

    /// <summary>The answer shows it.</summary>
    Shown,
}

/// <summary>What became of a cell.</summary>
public enum SweepStatus
{
    /// <summary>No question of it was asked.</summary>
    NotRun,

    /// <summary>Questions were asked, and none was answered.</summary>
    Failed,

    /// <summary>There are answers.</summary>
    Done,
}

/// <summary>One arm on one group of questions.</summary>
/// <param name="Arm">The arm.</param>
/// <param name="Group">The questions.</param>
/// <param name="Status">What became of it.</param>
/// <param name="Shown">Answers that show the behaviour, of those that there are.</param>
/// <param name="Failed">Questions that were asked in vain.</param>
/// <param name="NotRun">Questions that were not asked.</param>
/// <param name="Paired">The same questions without a step beside it, of those that both answered; null of the unsteered arm.</param>
public sealed record SweepCell(SweepArm Arm, SweepGroup Group, SweepStatus Status, Proportion Shown, int Failed, int NotRun, PairedProportions? Paired)
{
    /// <summary>McNemar's p, corrected over the family that it was tested in; null where it was not.</summary>
    public double? Corrected { get; init; }
}

/// <summary>The strength that the one half of the questions chose, on the other.</summary>
/// <param name="Arm">The arm that was chosen.</param>
/// <param name="ChosenBy">On-target cell of the half that chose.</param>
/// <param name="OnTarget">On the half that reports.</param>
/// <param name="OffTarget">On the half that reports; null without such questions.</param>
public sealed record SweepChoice(SweepArm Arm, SweepCell ChosenBy, SweepCell OnTarget, SweepCell? OffTarget);

/// <summary>Rates of a behaviour over arms and groups of questions.</summary>
/// <param name="Cells">By group and arm, in the order given, on all questions.</param>
/// <param name="More">The strength of more that was chosen; null where no arm of more has answers in both halves.</param>
/// <param name="Less">The same of less.</param>
public sealed record SweepGrid(IReadOnlyList<SweepCell> Cells, SweepChoice? More, SweepChoice? Less)
{
    /// <summary>Counts.</summary>
    /// <param name="questions">The questions.</param>
    /// <param name="arms">The arms; one is unsteered.</param>
    /// <param name="outcome">What became of a question by an arm.</param>
    public static SweepGrid Of(IReadOnlyList<SweepQuestion> questions, IReadOnlyList<SweepArm> arms, Func<SweepQuestion, SweepArm, SweepOutcome> outcome)
    {
        ArgumentNullException.ThrowIfNull(questions);
        ArgumentNullException.ThrowIfNull(arms);
        ArgumentNullException.ThrowIfNull(outcome);
        var unsteered = arms.Single(arm => arm.Kind == SweepArmKind.Unsteered);
        SweepCell Cell(SweepArm arm, SweepGroup group, SweepHalf? half = null)
        {
            var asked = questions.Where(question => question.Group == group && (half is null || question.Half == half)).ToList();
            var outcomes = asked.Select(question => (Before: outcome(question, unsteered), After: outcome(question, arm))).ToList();
            var answered = outcomes.Where(pair => pair.After is SweepOutcome.Shown or SweepOutcome.NotShown).ToList();
            var (failed, missing) = (outcomes.Count(pair => pair.After == SweepOutcome.Failed), outcomes.Count(pair => pair.After == SweepOutcome.NotRun));
            var paired = arm == unsteered
                ? null
                : PairedProportions.Of(answered.Where(pair => pair.Before is SweepOutcome.Shown or SweepOutcome.NotShown).Select(pair => (pair.Before == SweepOutcome.Shown, pair.After == SweepOutcome.Shown)));
            var status = answered.Count > 0 ? SweepStatus.Done : failed > 0 ? SweepStatus.Failed : SweepStatus.NotRun;
            return new(arm, group, status, Proportion.Of(answered, pair => pair.After == SweepOutcome.Shown), failed, missing, paired);
        }

        SweepChoice? Choose(bool more)
        {
            // The largest change in the direction meant, less what happens off target; of equal ones the smallest step.
            var best = arms.Where(arm => arm.Kind == SweepArmKind.Pole && arm.Kl > 0 == more)
                .Select(arm => (Arm: arm, On: Cell(arm, SweepGroup.OnTarget, SweepHalf.Choose), Off: Cell(arm, SweepGroup.OffTarget, SweepHalf.Choose)))
                .Where(arm => arm.On.Paired is { Total: > 0 })
                .OrderByDescending(arm => (more ? 1 : -1) * arm.On.Paired!.Change - (arm.Off.Paired is { Total: > 0 } off ? Math.Abs(off.Change) : 0))
                .ThenBy(arm => Math.Abs(arm.Arm.Kl))
                .FirstOrDefault();
            if (best.Arm is null || Cell(best.Arm, SweepGroup.OnTarget, SweepHalf.Report) is not { Paired.Total: > 0 } reported)
            {
                return null;
            }

            var off = Cell(best.Arm, SweepGroup.OffTarget, SweepHalf.Report);
            return new(best.Arm, best.On, reported, off.Paired is { Total: > 0 } ? off : null);
        }

        return new([.. Enum.GetValues<SweepGroup>().SelectMany(group => arms.Select(arm => Cell(arm, group)))], Choose(more: true), Choose(more: false));
    }

    /// <summary>Corrects the tests of several grids together: those of steps along poles and of removals, on-target and off-target ones each a family of their own. Controls stay as they are.</summary>
    /// <param name="grids">Of one sweep.</param>
    public static IReadOnlyList<SweepGrid> Correct(IReadOnlyList<SweepGrid> grids)
    {
        ArgumentNullException.ThrowIfNull(grids);
        var corrected = new Dictionary<SweepCell, double>(ReferenceEqualityComparer.Instance);
        foreach (var family in grids.SelectMany(grid => grid.Cells)
            .Where(cell => cell is { Arm.Kind: SweepArmKind.Pole or SweepArmKind.Removed, Paired.Total: > 0 })
            .GroupBy(cell => cell.Group)
            .Select(group => group.ToList()))
        {
            foreach (var (cell, p) in family.Zip(HolmCorrection.Adjust([.. family.Select(cell => cell.Paired!.McNemar)])))
            {
                corrected[cell] = p;
            }
        }

        return [.. grids.Select(grid => grid with { Cells = [.. grid.Cells.Select(cell => corrected.TryGetValue(cell, out var p) ? cell with { Corrected = p } : cell)] })];
    }
}
