using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Generation;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Generation;

public sealed class TextGeneratorTests : IDisposable
{
    private static readonly int[] Prompt = [3, 14, 15, 9, 26];
    private readonly LlamaModel _model = Some.Llama();

    [Fact]
    public void Greedy_tokens_are_the_same_with_and_without_a_cache()
    {
        using var adapter = Some.Adapter(_model);
        var cached = TextGenerator.Generate(_model, Prompt, new() { MaxNewTokens = 20 }, [adapter]);
        Assert.Equal(WithoutCache(_model, Prompt, 20, adapter), cached.Tokens);
        Assert.Equal(StopReason.Length, cached.Reason);
    }

    [Fact]
    public void Several_tokens_after_a_past_give_the_hidden_states_of_one_pass()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var tokens = randint(0, 61, [2, 11], dtype: ScalarType.Int64);
        var whole = _model.HiddenStates(tokens, ForwardRequest.Base);
        using var cache = _model.NewCache();
        var request = new ForwardRequest { Cache = cache };
        var parts = cat([.. ((int, int)[])[(0, 4), (4, 1), (5, 6)] is var cuts ? cuts.Select(cut => _model.HiddenStates(tokens.narrow(1, cut.Item1, cut.Item2), request)) : []], dim: 1);
        AssertTensor.Close(whole, parts, 1e-5);
    }

    [Fact]
    public void A_stop_token_ends_the_answer_and_is_its_last()
    {
        var all = TextGenerator.Generate(_model, Prompt, new() { MaxNewTokens = 20 }).Tokens;
        var stop = all[6];
        var heard = new List<int>();
        var answer = TextGenerator.Generate(_model, Prompt, new() { MaxNewTokens = 20, StopIds = [stop] }, onToken: heard.Add);
        Assert.Equal(all.Take(all.ToList().IndexOf(stop) + 1), answer.Tokens);
        Assert.Equal(answer.Tokens, heard);
        Assert.Equal(StopReason.StopToken, answer.Reason);
    }

    [Fact]
    public void The_answer_ends_where_the_context_does()
    {
        using var model = Some.Llama(Some.TinyLlama() with { ContextLength = 8 });
        var answer = TextGenerator.Generate(model, Prompt, new() { MaxNewTokens = 20 });
        Assert.Equal((4, StopReason.Context), (answer.Tokens.Count, answer.Reason));
        Assert.Throws<ArgumentException>(() => TextGenerator.Generate(model, [.. Enumerable.Repeat(1, 9)], new()));
    }

    [Fact]
    public void The_same_seed_draws_the_same_tokens_and_another_seed_others()
    {
        IReadOnlyList<int> Drawn(ulong seed) => TextGenerator.Generate(_model, Prompt, new() { MaxNewTokens = 30, Temperature = 5, Seed = seed }).Tokens;
        Assert.Equal(Drawn(1), Drawn(1));
        Assert.NotEqual(Drawn(1), Drawn(2));
    }

    [Fact]
    public void Draws_follow_the_distribution_that_is_left_after_top_k_and_top_p()
    {
        double[] probabilities = [0.4, 0.3, 0.2, 0.1];
        float[] logits = [.. probabilities.Select(p => (float)Math.Log(p))];
        foreach (var (options, expected) in ((GenerationOptions, double[])[])
        [
            (new() { Temperature = 1 }, [0.4, 0.3, 0.2, 0.1]),
            (new() { Temperature = 0.5 }, [.. probabilities.Select(p => p * p / 0.3)]),
            (new() { Temperature = 1, TopK = 2 }, [4 / 7.0, 3 / 7.0, 0, 0]),
            (new() { Temperature = 1, TopP = 0.65 }, [4 / 7.0, 3 / 7.0, 0, 0]),
            (new() { Temperature = 1, TopP = 0.1 }, [1, 0, 0, 0]),
        ])
        {
            const int draws = 2000;
            var sampler = new TokenSampler(options);
            var counts = new int[4];
            for (var i = 0; i < draws; i++)
            {
                counts[sampler.Choose(logits)]++;
            }

            for (var i = 0; i < 4; i++)
            {
                // Four standard deviations of a binomial share.
                Assert.InRange(counts[i] / (double)draws, expected[i] - (4 * Math.Sqrt(0.25 / draws)), expected[i] + (4 * Math.Sqrt(0.25 / draws)));
                Assert.True(expected[i] > 0 || counts[i] == 0);
            }
        }
    }

    [Fact]
    public void Options_and_prompts_outside_their_range_are_the_callers_mistakes()
    {
        foreach (var options in (GenerationOptions[])[new() { Temperature = -1 }, new() { Temperature = double.NaN }, new() { TopP = 0 }, new() { TopP = 1.1 }, new() { TopK = -1 }, new() { MaxNewTokens = -1 }])
        {
            Assert.Throws<ArgumentOutOfRangeException>(() => TextGenerator.Generate(_model, Prompt, options));
        }

        Assert.Throws<ArgumentException>(() => TextGenerator.Generate(_model, [], new()));
        Assert.Throws<ArgumentException>(() => TextGenerator.Generate(_model, [61], new()));
        Assert.Throws<ArgumentException>(() => TextGenerator.Generate(_model, [-1], new()));
        Assert.Throws<OperationCanceledException>(() => TextGenerator.Generate(_model, Prompt, new(), cancellationToken: new(canceled: true)));
    }

    public void Dispose() => _model.Dispose();

    private static List<int> WithoutCache(CausalLanguageModel model, int[] prompt, int count, LoraAdapter adapter)
    {
        using var noGrad = no_grad();
        var all = prompt.Select(id => (long)id).ToList();
        for (var i = 0; i < count; i++)
        {
            using var scope = NewDisposeScope();
            var logits = model.Logits(model.HiddenStates(tensor(all.ToArray()).unsqueeze(0), new() { Adapters = [adapter] }));
            all.Add(logits[0, -1].argmax().item<long>());
        }

        return [.. all.Skip(prompt.Length).Select(id => (int)id)];
    }
}
