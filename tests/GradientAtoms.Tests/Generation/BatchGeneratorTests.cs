using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Generation;
using GradientAtoms.Tests.Support;

namespace GradientAtoms.Tests.Generation;

public sealed class BatchGeneratorTests : IDisposable
{
    private static readonly int[][] Prompts = [[3, 14, 15, 9, 26], [5, 3], [58, 9, 7, 9, 3], [2, 3, 8, 4, 6], [31], [27, 18]];
    private readonly LlamaModel _model = Some.Llama();

    public void Dispose() => _model.Dispose();

    [Theory]
    [InlineData(0.0)]
    [InlineData(1.3)]
    public void Every_answer_is_that_of_its_prompt_alone(double temperature)
    {
        using var adapter = Some.Adapter(_model);
        var options = new GenerationOptions { MaxNewTokens = 12, Temperature = temperature, Seed = 5, StopIds = [7, 11, 13] };
        var together = BatchGenerator.Generate(_model, Prompts, options, [adapter], maxBatch: 2);
        for (var index = 0; index < Prompts.Length; index++)
        {
            var alone = TextGenerator.Generate(_model, Prompts[index], options with { Seed = options.Seed + (ulong)index }, [adapter]);
            Assert.Equal(alone.Tokens, together[index].Tokens);
            Assert.Equal(alone.Reason, together[index].Reason);
        }
    }

    [Fact]
    public void A_full_context_ends_every_answer()
    {
        using var model = Some.Llama(Some.TinyLlama() with { ContextLength = 8 });
        var answers = BatchGenerator.Generate(model, Prompts, new() { MaxNewTokens = 50 });
        Assert.All(answers.Zip(Prompts), pair => Assert.Equal((StopReason.Context, 8 - pair.Second.Length + 1), (pair.First.Reason, pair.First.Tokens.Count)));
    }

    [Fact]
    public void A_prompt_that_cannot_be_run_is_refused_before_anything_runs()
    {
        Assert.Throws<ArgumentException>(() => BatchGenerator.Generate(_model, [[1], []], new()));
        Assert.Throws<ArgumentException>(() => BatchGenerator.Generate(_model, [[1], [61]], new()));
        Assert.Empty(BatchGenerator.Generate(_model, [], new()));
    }
}
