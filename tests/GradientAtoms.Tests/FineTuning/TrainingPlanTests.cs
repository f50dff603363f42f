using GradientAtoms.FineTuning;
using GradientAtoms.Tests.Support;

namespace GradientAtoms.Tests.FineTuning;

public class TrainingPlanTests
{
    [Fact]
    public void Every_epoch_sees_every_document_once_and_in_another_order()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        var documents = SomeDocuments.Random(200);
        var options = new FineTuningOptions { Epochs = 2, BatchTokens = 60, Seed = 5 };

        var plan = new TrainingPlan(documents, [], adapter, options);
        var one = new TrainingPlan(documents, [], adapter, options with { Epochs = 1 });

        var first = plan.Batches.Take(one.Batches.Count).ToArray();
        var second = plan.Batches.Skip(one.Batches.Count).ToArray();
        Assert.Equal(Enumerable.Range(0, 200), first.SelectMany(batch => batch).Order());
        Assert.Equal(Enumerable.Range(0, 200), second.SelectMany(batch => batch).Order());
        Assert.NotEqual(first.SelectMany(batch => batch), second.SelectMany(batch => batch));
        Assert.Equal(one.Batches.SelectMany(batch => batch), first.SelectMany(batch => batch));
        Assert.All(plan.Batches, batch => Assert.True(batch.Sum(index => documents[index].Tokens.Length) <= 60));
    }

    [Theory]
    [InlineData(LearningRateSchedule.Linear)]
    [InlineData(LearningRateSchedule.Cosine)]
    [InlineData(LearningRateSchedule.Constant)]
    public void The_learning_rate_rises_to_its_largest_and_falls_again(LearningRateSchedule schedule)
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        var plan = new TrainingPlan(SomeDocuments.Random(100), [], adapter, new() { BatchTokens = 30, WarmupSteps = 4, Schedule = schedule, LearningRate = 0.5 });
        var rates = Enumerable.Range(0, plan.Batches.Count).Select(plan.LearningRate).ToArray();

        Assert.Equal(0.5, rates.Max(), 1e-12);
        Assert.Equal(4, Array.IndexOf(rates, rates.Max()));
        Assert.Equal(rates[..5].Order(), rates[..5]);
        Assert.Equal(rates[4..].OrderDescending(), rates[4..]);
        Assert.All(rates, rate => Assert.True(rate > 0));
        Assert.Equal(schedule == LearningRateSchedule.Constant, rates[^1] == 0.5);
    }

    [Fact]
    public void A_short_training_still_reaches_the_largest_rate()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        var plan = new TrainingPlan(SomeDocuments.Random(3), [], adapter, new() { BatchTokens = 1, WarmupSteps = 50, LearningRate = 1 });

        Assert.Equal(1, plan.LearningRate(1));
    }
}
