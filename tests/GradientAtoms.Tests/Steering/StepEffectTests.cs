using GradientAtoms.Evaluation;
using GradientAtoms.Steering;
using GradientAtoms.Tests.Support;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Tests.Steering;

public class StepEffectTests
{
    [Fact]
    public void A_step_down_the_gradient_is_more_and_its_reverse_is_less()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        var documents = SomeDocuments.Random(6);
        using var step = SomeSteps.Descent(model, adapter, documents);
        using var back = step.Reversed();

        // Each document has its own gradient, so the pole is one document several times over: its error is small.
        var pole = Enumerable.Repeat(documents[0], 3).ToArray();
        using var own = SomeSteps.Descent(model, adapter, pole);
        using var ownBack = own.Reversed();
        var more = SignCheck.Measure(model, adapter, own, pole, step: 0.05);
        var less = SignCheck.Measure(model, adapter, ownBack, pole, step: 0.05);

        Assert.Equal(SignVerdict.More, more.Verdict);
        Assert.Equal(SignVerdict.Less, less.Verdict);
        Assert.True(more.Forward > 0 && more.Backward < 0);
        Assert.Equal(more.Odd, -less.Odd, 1e-6);
        Assert.Equal((more.Forward - more.Backward) / 2, more.Odd, 1e-9);
        Assert.True(SignCheck.Measure(model, adapter, step, documents, 0.05).Odd > 0);
        Assert.True(SignCheck.Measure(model, adapter, back, documents, 0.05).Odd < 0);
    }

    [Fact]
    public void A_sign_that_documents_disagree_on_is_unclear()
    {
        var check = new SignCheck(0.1, 0.02, -0.01, 0.015, 0.01, 5);

        Assert.Equal(SignVerdict.Unclear, check.Verdict);
        Assert.Equal(SignVerdict.Unclear, (check with { Odd = 0, OddError = double.NaN }).Verdict);
        Assert.Equal(SignVerdict.Less, (check with { Odd = -0.03 }).Verdict);
        Assert.Equal(SignVerdict.More, (check with { OddError = double.NaN, Documents = 1 }).Verdict);
    }

    [Fact]
    public void Effects_are_differences_of_mean_log_likelihoods_and_groups_do_not_mix()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        using var one = SomeSteps.Random(adapter, seed: 1);
        using var two = SomeSteps.Random(adapter, seed: 2);
        var (on, off) = (SomeDocuments.Random(4), SomeDocuments.Random(6, seed: 5));

        var effect = StepEffect.Measure(model, adapter, [new("one", one, [0.1, -0.1]), new("two", two, [0.3])], [new("on", on), new("off", off)]);

        Assert.Equal(
            [("one", 0.1, "on"), ("one", 0.1, "off"), ("one", -0.1, "on"), ("one", -0.1, "off"), ("two", 0.3, "on"), ("two", 0.3, "off")],
            effect.Cells.Select(cell => (cell.Arm, cell.Step, cell.Group)));
        using var steered = two.ToAdapter(adapter, 0.3);
        var (before, after) = (DocumentLosses.Compute(model, [adapter], off), DocumentLosses.Compute(model, [steered], off));
        var cell = effect.Cells[^1];
        for (var i = 0; i < off.Count; i++)
        {
            Assert.Equal(after.MeanLogLikelihood(i) - before.MeanLogLikelihood(i), cell.PerDocument[i], 1e-4);
            Assert.Equal(before.Sums[i], effect.Unsteered[1].Sums[i], 1e-4);
        }

        Assert.Equal(cell.PerDocument.Average(), cell.Change.Mean, 1e-12);
        Assert.Equal(before.MeanPerToken - after.MeanPerToken, cell.ChangePerToken, 1e-5);
        Assert.Equal(6, cell.Change.Count);
    }

    [Fact]
    public void Unsteered_losses_that_a_group_brings_are_not_computed_again_and_change_no_bit()
    {
        using var inner = Some.Llama();
        using var adapter = Some.Adapter(inner);
        var model = new CountingModel(inner);
        using var direction = SomeSteps.Random(adapter, seed: 1);
        StepArm[] arms = [new("one", direction, [0.1, -0.1])];
        DocumentGroup[] groups = [new("on", SomeDocuments.Random(4)), new("off", SomeDocuments.Random(6, seed: 5))];
        var expected = StepEffect.Measure(model, adapter, arms, groups);
        var perPass = model.Tokens / 3.0;

        DocumentGroup[] measured = [.. groups.Select(group => group.WithUnsteered(model, adapter))];
        Assert.Equal(perPass * 4, model.Tokens);
        var effect = StepEffect.Measure(model, adapter, arms, measured);

        Assert.Equal(perPass * 6, model.Tokens);
        Assert.Equal(expected.Cells.SelectMany(cell => cell.PerDocument), effect.Cells.SelectMany(cell => cell.PerDocument));
        Assert.Equal(expected.Cells.Select(cell => (cell.Group, cell.Step, cell.Change, cell.ChangePerToken)), effect.Cells.Select(cell => (cell.Group, cell.Step, cell.Change, cell.ChangePerToken)));
        Assert.Equal(expected.Unsteered.SelectMany(losses => losses.Sums), effect.Unsteered.SelectMany(losses => losses.Sums));

        // A group alone has the numbers that it has among others.
        var alone = StepEffect.Measure(model, adapter, arms, [groups[1]]);
        Assert.Equal(expected.Cells.Where(cell => cell.Group == "off").SelectMany(cell => cell.PerDocument), alone.Cells.SelectMany(cell => cell.PerDocument));
    }

    [Fact]
    public void Unsteered_losses_of_other_documents_are_a_mistake_of_the_caller()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        using var step = SomeSteps.Random(adapter);
        var other = new DocumentGroup("other", SomeDocuments.Random(3)).WithUnsteered(model, adapter);

        Assert.Throws<ArgumentException>(() => StepEffect.Measure(model, adapter, [new("one", step, [0.1])], [other with { Documents = SomeDocuments.Random(4) }]));
    }

    [Fact]
    public void A_step_of_zero_changes_nothing()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        using var step = SomeSteps.Random(adapter);
        TokenizedDocument[] documents = [.. SomeDocuments.Random(3), new("none", 4, [1, 2], [false, false], 0)];

        var cell = StepEffect.Measure(model, adapter, [new("still", step, [0])], [new("all", documents)]).Cells[0];

        Assert.Equal(0, cell.Change.Mean);
        Assert.Equal(3, cell.Change.Count);
        Assert.True(double.IsNaN(cell.PerDocument[3]));
    }

    [Fact]
    public void A_pole_without_trained_tokens_has_no_sign()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        using var step = SomeSteps.Random(adapter);

        Assert.Equal("GA1052", Assert.Throws<SteeringException>(() => SignCheck.Measure(model, adapter, step, [new("none", 1, [1, 2], [false, false], 0)], 0.1)).Code);
    }

    [Fact]
    public void The_error_of_a_mean_is_its_standard_error()
    {
        var mean = MeanWithError.Of([1, 2, 3, 4, double.NaN]);

        Assert.Equal((2.5, 4), (mean.Mean, mean.Count));
        Assert.Equal(Math.Sqrt(5 / 3.0 / 4), mean.Error, 1e-12);
        Assert.True(double.IsNaN(MeanWithError.Of([]).Mean));
        Assert.True(double.IsNaN(MeanWithError.Of([1]).Error));
    }
}
