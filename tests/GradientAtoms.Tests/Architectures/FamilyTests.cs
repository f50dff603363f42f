using GradientAtoms.Gradients;
using GradientAtoms.Models;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Models.Generation;
using GradientAtoms.Runs.Steps;
using GradientAtoms.Tests.Runs;
using GradientAtoms.Tests.Steering;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Architectures;

/// <summary>What holds for every architecture, on small random models of our own; no fixtures.</summary>
public sealed class FamilyTests
{
    private static readonly int[] Prompt = [3, 14, 15, 9, 26, 5, 35];

    public static TheoryData<string> Families => TinyModels.All;

    [Theory]
    [MemberData(nameof(Families))]
    public void Gradients_of_all_linear_modules_agree_with_autograd_a_batch_of_one_and_finite_differences(string family)
    {
        using var loaded = TinyModels.Load(family);
        using var adapter = AllLinear(loaded.Model);
        var result = GradientSelfCheck.Run(loaded.Model, adapter, SomeDocuments.Random(4, shortest: 4, longest: 16), count: 4);
        Assert.Equal(loaded.Model.LinearModules.Count, adapter.Modules.Count);
        Assert.InRange(result.AgainstAutograd, 0, 5e-5);
        Assert.InRange(result.AgainstSingle, 0, 1e-4);
        Assert.InRange(result.AgainstDifference, 0, 5e-2);
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void A_pass_in_pieces_through_the_cache_gives_the_hidden_states_of_one_pass(string family)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var loaded = TinyModels.Load(family);
        using var adapter = AllLinear(loaded.Model);
        var tokens = randint(0, TinyModels.VocabularySize, [2, 19], dtype: ScalarType.Int64, generator: new Generator(5));
        var whole = loaded.Model.HiddenStates(tokens, new() { Adapters = [adapter] });
        foreach (var cuts in (int[][])[[6, 1, 1, 3, 8], [1, 1, 1, 1, 1, 1, 1, 12], [18, 1]])
        {
            using var cache = loaded.Model.NewCache();
            var (parts, at) = (new List<Tensor>(), 0);
            foreach (var length in cuts)
            {
                parts.Add(loaded.Model.HiddenStates(tokens.narrow(1, at, length), new() { Adapters = [adapter], Cache = cache }));
                at += length;
            }

            AssertTensor.Close(whole, cat([.. parts], dim: 1), 2e-5);
            Assert.Equal(19, cache.Length);
        }
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void Greedy_tokens_are_the_same_with_and_without_a_cache(string family)
    {
        using var noGrad = no_grad();
        using var loaded = TinyModels.Load(family);
        using var adapter = AllLinear(loaded.Model);
        var all = Prompt.ToList();
        for (var i = 0; i < 20; i++)
        {
            using var scope = NewDisposeScope();
            all.Add((int)GoldenModelTests.Logits(loaded.Model, all, new() { Adapters = [adapter] })[-1].argmax().item<long>());
        }

        Assert.Equal(all.Skip(Prompt.Length), TextGenerator.Generate(loaded.Model, Prompt, new() { MaxNewTokens = 20 }, [adapter]).Tokens);
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void A_steered_adapter_and_a_delta_come_back_from_their_peft_folders_as_they_were(string family)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var folder = new TemporaryFolder();
        using var loaded = TinyModels.Load(family);
        using var adapter = AllLinear(loaded.Model);
        var origin = PeftConfiguration.Of([PeftConfiguration.AllLinear], rank: 3, alpha: 6);
        PeftAdapter.Save(folder["origin"], adapter, origin);
        using var step = SomeSteps.Random(adapter, length: 2);
        using var steered = step.ToAdapter(adapter, 0.5);
        using var delta = step.ToExactDelta(adapter, 0.5);
        SteeredAdapterFile.Write(folder["steered"], steered, PeftAdapter.Configuration(folder["origin"]));
        SteeredAdapterFile.Write(folder["delta"], delta, PeftAdapter.Configuration(folder["origin"]));
        using var originAgain = PeftAdapter.Load(folder["origin"], loaded.Model);
        using var steeredAgain = PeftAdapter.Load(folder["steered"], loaded.Model);
        using var deltaAgain = PeftAdapter.Load(folder["delta"], loaded.Model);

        var plain = GoldenModelTests.Logits(loaded.Model, Prompt, new() { Adapters = [adapter] });
        var moved = GoldenModelTests.Logits(loaded.Model, Prompt, new() { Adapters = [steered] });
        Assert.True((moved - plain).abs().max().item<float>() > 1e-2);
        Assert.True(plain.equal(GoldenModelTests.Logits(loaded.Model, Prompt, new() { Adapters = [originAgain] })).all().item<bool>());
        Assert.True(moved.equal(GoldenModelTests.Logits(loaded.Model, Prompt, new() { Adapters = [steeredAgain] })).all().item<bool>());
        AssertTensor.Close(moved, GoldenModelTests.Logits(loaded.Model, Prompt, new() { Adapters = [adapter, deltaAgain] }), 1e-5);
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void A_model_with_the_adapter_added_to_its_stored_weights_predicts_what_model_and_adapter_do(string family)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var folder = new TemporaryFolder();
        using var loaded = TinyModels.Load(family);
        using var adapter = AllLinear(loaded.Model);
        TinyModels.Write(folder.Path, family, weights =>
        {
            foreach (var (module, lora) in loaded.Model.LinearModules.Zip(adapter.Modules))
            {
                var change = lora.B.matmul(lora.A) * lora.Scale; // [out, in]
                weights[$"{module.Name}.weight"] += module.IsStoredTransposed ? change.t() : change;
            }
        });
        using var merged = LoadedModel.Load(folder.Path);
        AssertTensor.Close(
            GoldenModelTests.Logits(loaded.Model, Prompt, new() { Adapters = [adapter] }), GoldenModelTests.Logits(merged.Model, Prompt, ForwardRequest.Base), 5e-5);
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void What_is_told_without_weights_is_what_the_model_is(string family)
    {
        using var folder = new TemporaryFolder();
        TinyModels.Write(folder.Path, family);
        var description = LoadedModel.Describe(folder.Path);
        using var loaded = LoadedModel.Load(folder.Path);
        Assert.Equal(loaded.Model.ParameterCount, description.ParameterCount);
        Assert.Equal(loaded.Model.Architecture, description.Architecture);
        Assert.Equal(loaded.Model.LinearModules.Select(module => new LinearShape(module.Name, module.InputSize, module.OutputSize)), description.LinearModules);
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void What_the_weights_lack_and_what_the_model_does_not_use_are_named(string family)
    {
        using var folder = new TemporaryFolder();
        var lacking = "";
        TinyModels.Write(folder.Path, family, weights => weights.Remove(lacking = weights.Keys.Last(name => name.Contains(".1.", StringComparison.Ordinal))));
        var error = Assert.Throws<CheckpointException>(() => LoadedModel.Describe(folder.Path));
        Assert.Equal("GA2330", error.Code);
        Assert.Contains($"lacks {lacking}", error.Message, StringComparison.Ordinal);

        var extra = lacking.Replace(".1.", ".7.", StringComparison.Ordinal);
        TinyModels.Write(folder.Path, family, weights => weights[extra] = ones(3));
        error = Assert.Throws<CheckpointException>(() => LoadedModel.Describe(folder.Path));
        Assert.Equal("GA2330", error.Code);
        Assert.Contains($"holds {extra}", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_window_is_what_a_query_sees_and_no_more()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var loaded = TinyModels.Load("mistral");
        int[] one = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14], other = [40, .. one[1..]];
        var (a, b) = (GoldenModelTests.Logits(loaded.Model, one, ForwardRequest.Base), GoldenModelTests.Logits(loaded.Model, other, ForwardRequest.Base));

        // Three layers with windows of four tokens pass the first token on to position 3 · 3 and no further.
        Assert.True((a - b)[9].abs().max().item<float>() > 0);
        Assert.Equal(0, (a - b)[TensorIndex.Slice(10)].abs().max().item<float>());
    }

    [Fact]
    public void Dynamic_scaling_is_the_plain_one_up_to_its_context_and_stretches_the_longest_wave_by_its_formula()
    {
        var scaling = new RopeScaling(RopeScalingKind.Dynamic, 3) { OriginalContextLength = 32 };
        var (plain, dynamic) = (new RotaryEmbedding(8, 10_000, null), new RotaryEmbedding(8, 10_000, scaling));
        using var scope = NewDisposeScope();
        Assert.True(plain.Angles(arange(32), 32).Cosines.equal(dynamic.Angles(arange(32), 32).Cosines).all().item<bool>());

        // The base's power of size / (size − 2) is so chosen that the last frequency is divided by factor·L/original − (factor − 1).
        const int length = 64;
        var stretched = (3.0 * length / 32) - 2;
        using var sine = dynamic.Angles(arange(length), length).Sines[length - 1, 7];
        Assert.Equal(Math.Sin((length - 1) * Math.Pow(10_000, -6.0 / 8) / stretched), sine.item<float>(), 1e-6);
        using var first = dynamic.Angles(arange(length), length).Sines[length - 1, 4];
        Assert.Equal(Math.Sin(length - 1), first.item<float>(), 1e-5);
    }

    [Fact]
    public void Under_dynamic_scaling_a_batch_beyond_the_context_is_refused_and_a_single_document_is_not()
    {
        using var scope = NewDisposeScope();
        using var loaded = TinyModels.Load("llama dynamic");
        var error = Assert.Throws<CheckpointException>(() => loaded.Model.HiddenStates(zeros([2, 65], dtype: ScalarType.Int64), ForwardRequest.Base));
        Assert.Equal("GA2324", error.Code);
        Assert.Equal([1L, 65, 24], loaded.Model.HiddenStates(zeros([1, 65], dtype: ScalarType.Int64), ForwardRequest.Base).shape);
        Assert.Equal([2L, 64, 24], loaded.Model.HiddenStates(zeros([2, 64], dtype: ScalarType.Int64), ForwardRequest.Base).shape);
    }

    [Fact]
    public void More_tokens_than_learned_positions_are_refused_by_code()
    {
        using var scope = NewDisposeScope();
        using var loaded = TinyModels.Load("gpt2");
        Assert.Equal([1L, 64, 24], loaded.Model.HiddenStates(zeros([1, 64], dtype: ScalarType.Int64), ForwardRequest.Base).shape);
        Assert.Equal("GA2325", Assert.Throws<CheckpointException>(() => loaded.Model.HiddenStates(zeros([1, 65], dtype: ScalarType.Int64), ForwardRequest.Base)).Code);
    }

    [Fact]
    public void Yarn_keeps_fast_frequencies_divides_slow_ones_and_blends_between()
    {
        const int size = 64, original = 4096;
        var scaling = new RopeScaling(RopeScalingKind.Yarn, 8) { OriginalContextLength = original };
        var (plain, yarn) = (RotaryEmbedding.InverseFrequencies(size, 10_000, null), RotaryEmbedding.InverseFrequencies(size, 10_000, scaling));
        var kept = new List<double>();
        for (var i = 0; i < plain.Length; i++)
        {
            var (turns, ratio) = (original * plain[i] / (2 * Math.PI), yarn[i] / plain[i]);
            kept.Add(ratio);

            // The two bounds are rounded outwards to whole coordinates: one coordinate's factor of 10000^(1/32) to either side.
            Assert.True(turns < 32 * 1.34 || Math.Abs(ratio - 1) < 1e-12);
            Assert.True(turns > 1 / 1.34 || Math.Abs(ratio - (1 / 8.0)) < 1e-12);
        }

        Assert.Equal(kept.OrderDescending(), kept);
        Assert.Contains(kept, ratio => ratio is > 0.2 and < 0.9);
        Assert.Equal((0.1 * Math.Log(8)) + 1, ConfigurationReader.YarnAttentionFactor(8), 1e-12);
        Assert.Equal(1, ConfigurationReader.YarnAttentionFactor(0.5));
    }

    private static LoraAdapter AllLinear(CausalLanguageModel model) => Some.Adapter(model, [""], rank: 3, scale: 2, seed: 4);
}
