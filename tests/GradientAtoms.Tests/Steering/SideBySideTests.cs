using GradientAtoms.Steering;
using GradientAtoms.Tests.Support;

namespace GradientAtoms.Tests.Steering;

public class SideBySideTests
{
    [Fact]
    public void A_step_of_zero_answers_as_the_unsteered_model_does_and_a_large_one_does_not()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        using var step = SomeSteps.Random(adapter);
        int[][] prompts = [[4, 9, 12], [33, 2]];

        var still = SideBySide.Generate(model, adapter, step, 0, prompts, new() { MaxNewTokens = 8, Temperature = 1, Seed = 3 });
        var moved = SideBySide.Generate(model, adapter, step, 20, prompts, new() { MaxNewTokens = 8 });

        Assert.Equal([0, 1], still.Select(answer => answer.Prompt));
        Assert.All(still, answer => Assert.Equal(answer.Unsteered.Tokens, answer.Steered.Tokens));
        Assert.All(still, answer => Assert.Equal(8, answer.CommonTokens));
        Assert.Contains(moved, answer => answer.CommonTokens < 8);
    }
}
