using GradientAtoms.Evaluation.Sweeps;

namespace GradientAtoms.Tests.Evaluation.Sweeps;

public class SweepGridTests
{
    private static readonly SweepArm Unsteered = new("unsteered", SweepArmKind.Unsteered, 0);
    private static readonly SweepArm Small = new("p@0.1", SweepArmKind.Pole, 0.1);
    private static readonly SweepArm Large = new("p@0.5", SweepArmKind.Pole, 0.5);
    private static readonly SweepArm Less = new("p@-0.1", SweepArmKind.Pole, -0.1);
    private static readonly SweepArm Control = new("random-0@0.1", SweepArmKind.Random, 0.1);

    private static readonly SweepQuestion[] Questions =
        [.. Enum.GetValues<SweepGroup>().SelectMany(group => Enumerable.Range(0, 20).Select(place => new SweepQuestion($"q{place}", group, place % 2 == 0 ? SweepHalf.Choose : SweepHalf.Report)))];

    [Fact]
    public void Groups_are_never_pooled_and_changes_are_of_the_same_questions()
    {
        // On target the first five show it unsteered, the first fifteen steered; off target none.
        var grid = SweepGrid.Of(Questions, [Unsteered, Small], (question, arm) => Shown(question.Group == SweepGroup.OnTarget && Place(question) < (arm == Small ? 15 : 5)));
        var (on, off) = (grid.Cells.Single(cell => cell.Arm == Small && cell.Group == SweepGroup.OnTarget), grid.Cells.Single(cell => cell.Arm == Small && cell.Group == SweepGroup.OffTarget));
        Assert.Equal(new(5, 10, 0, 5), on.Paired);
        Assert.Equal(0.75, on.Shown.Rate);
        Assert.Equal(new(0, 0, 0, 20), off.Paired);
        Assert.Null(grid.Cells[0].Paired);
    }

    [Fact]
    public void The_strength_is_chosen_on_one_half_and_reported_on_the_other()
    {
        // The half that chooses likes the large step; the other half is moved by the small one.
        var grid = SweepGrid.Of(Questions, [Unsteered, Small, Large], (question, arm) => Shown(question.Group == SweepGroup.OnTarget && (question.Half == SweepHalf.Choose ? arm == Large : arm == Small)));
        Assert.Equal(Large, grid.More!.Arm);
        Assert.Equal(1, grid.More.ChosenBy.Paired!.Change);
        Assert.Equal(0, grid.More.OnTarget.Paired!.Change);
        Assert.Equal(10, grid.More.OnTarget.Paired.Total);
        Assert.Null(grid.Less);
    }

    [Fact]
    public void A_step_that_moves_everything_is_not_chosen_over_one_that_moves_its_target()
    {
        var grid = SweepGrid.Of(Questions, [Unsteered, Small, Large], (question, arm) => Shown(arm == Large || (arm == Small && question.Group == SweepGroup.OnTarget && Place(question) < 16)));
        Assert.Equal(Small, grid.More!.Arm);
        Assert.Equal(0, grid.More.OffTarget!.Paired!.Change);
    }

    [Fact]
    public void What_was_not_run_and_what_failed_are_said_and_left_out()
    {
        var grid = SweepGrid.Of(Questions, [Unsteered, Small, Large, Less], (question, arm) =>
            arm == Large ? SweepOutcome.NotRun : arm == Less ? SweepOutcome.Failed : arm == Small && Place(question) < 3 ? SweepOutcome.Failed : SweepOutcome.NotShown);
        SweepCell On(SweepArm arm) => grid.Cells.Single(cell => cell.Arm == arm && cell.Group == SweepGroup.OnTarget);
        Assert.Equal((SweepStatus.NotRun, 0, 20, 0), (On(Large).Status, On(Large).Failed, On(Large).NotRun, On(Large).Shown.Total));
        Assert.Equal((SweepStatus.Failed, 20, 0), (On(Less).Status, On(Less).Failed, On(Less).NotRun));
        Assert.Equal((SweepStatus.Done, 3, 17), (On(Small).Status, On(Small).Failed, On(Small).Paired!.Total));
        Assert.Null(grid.Less);
    }

    [Fact]
    public void Tests_of_all_poles_are_corrected_together_and_controls_are_not()
    {
        SweepGrid One(int gained) => SweepGrid.Of(Questions, [Unsteered, Small, Control], (question, arm) => Shown(arm != Unsteered && Place(question) < gained));
        var grids = SweepGrid.Correct([One(8), One(6)]);
        double? Corrected(int grid, SweepArm arm) => grids[grid].Cells.Single(cell => cell.Arm == arm && cell.Group == SweepGroup.OnTarget).Corrected;
        Assert.Equal(2 * 2 / 256.0, Corrected(0, Small)!.Value, 1e-12);
        Assert.Equal(2 / 64.0, Corrected(1, Small)!.Value, 1e-12);
        Assert.Null(Corrected(0, Control));
    }

    private static SweepOutcome Shown(bool shown) => shown ? SweepOutcome.Shown : SweepOutcome.NotShown;

    private static int Place(SweepQuestion question) => int.Parse(question.Id.AsSpan(1), System.Globalization.CultureInfo.InvariantCulture);
}
