using GradientAtoms.Gradients;
using GradientAtoms.Localisation;
using GradientAtoms.Tests.Gradients;
using GradientAtoms.Tests.Support;
using TorchSharp;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Localisation;

public class TokenSplitsTests
{
    // float32 rounding of losses of 6 nats, beside changes of some hundredths of a nat.
    private const double DifferenceTolerance = 5e-3;

    private static readonly string[] AllLinear = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

    [Fact]
    public void Parts_of_positions_and_of_maps_add_up_to_the_product_that_autograd_gives()
    {
        using var scope = NewDisposeScope();
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model, AllLinear);
        var (documents, source) = (SomeDocuments.Random(5), new AdapterGradientSource(model, adapter));
        var directions = Directions(3, source.Layout);
        DocumentDirection[] pairs = [new(4, 2), new(0, 0), new(4, 0), new(2, 1)];
        var splits = TokenSplits.ByPosition(source, documents, pairs, new DirectionsInMemory(directions), batchTokens: 24);
        foreach (var ((document, direction), split) in pairs.Zip(splits))
        {
            var expected = AdapterGradientSourceTests.AutogradRow(model, adapter, documents[document]).dot(directions[direction]).item<float>();
            var scale = Math.Max(Math.Abs(expected), split.Positions.Max(Math.Abs));
            Assert.Equal(documents[document].Tokens.Length, split.Positions.Count);
            Assert.Equal(expected, split.Positions.Sum(), 1e-4 * scale);
            Assert.Equal(expected, split.Total, 1e-4 * scale);
        }
    }

    [Fact]
    public void The_last_token_has_no_part_by_position_and_a_position_before_the_trained_ones_has_one()
    {
        using var scope = NewDisposeScope();
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        var (documents, source) = (SomeDocuments.Random(1, shortest: 9, longest: 9), new AdapterGradientSource(model, adapter));
        var positions = TokenSplits.ByPosition(source, documents, [new(0, 0)], new DirectionsInMemory(Directions(1, source.Layout)), 64)[0].Positions;
        Assert.Equal(0, positions[^1]); // nothing is predicted from it
        Assert.NotEqual(0, positions[0]); // later ones attend to it
    }

    [Theory]
    [InlineData("llama")]
    [InlineData("gemma2")]
    [InlineData("gpt2")]
    [InlineData("gpt_neox")]
    [InlineData("phi3")]
    public void A_part_by_loss_token_is_the_derivative_of_that_tokens_loss_alone(string family)
    {
        using var scope = NewDisposeScope();
        using var loaded = TinyModels.Load(family);
        var model = loaded.Model;
        using var adapter = Some.Adapter(model, [.. model.LinearModules.Select(module => module.Name)]);
        var (documents, source) = (SomeDocuments.Random(3), new AdapterGradientSource(model, adapter));
        var directions = Directions(2, source.Layout);
        DocumentDirection[] pairs = [new(2, 1), new(0, 0), new(2, 0)];
        var splits = TokenSplits.ByLoss(model, adapter, source.Layout, documents, pairs, new DirectionsInMemory(directions), batchTokens: 24);
        var whole = TokenSplits.ByPosition(source, documents, pairs, new DirectionsInMemory(directions), batchTokens: 24);
        var differences = TokenSplits.ByLossDifference(model, adapter, source.Layout, documents, pairs, [.. whole.Select(split => split.Total)], new DirectionsInMemory(directions));
        for (var i = 0; i < pairs.Length; i++)
        {
            var document = documents[pairs[i].Document];
            var expected = new double[document.Tokens.Length];
            for (var t = 1; t < document.Tokens.Length; t++)
            {
                if (document.Trained[t])
                {
                    var alone = document with { Trained = [.. document.Trained.Select((_, place) => place == t)] };
                    expected[t] = AdapterGradientSourceTests.AutogradRow(model, adapter, alone).dot(directions[pairs[i].Direction]).item<float>();
                }
            }

            AssertTensor.Close(tensor(expected), tensor(splits[i]), relativeToMax: 2e-4);
            AssertTensor.Close(tensor(splits[i]), tensor(differences[i]), relativeToMax: DifferenceTolerance);
            Assert.Equal(whole[i].Total, splits[i].Sum(), 2e-4 * expected.Max(Math.Abs));
        }
    }

    [Fact]
    public void Parts_do_not_depend_on_the_batch()
    {
        using var scope = NewDisposeScope();
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model, AllLinear);
        var (documents, source) = (SomeDocuments.Random(4), new AdapterGradientSource(model, adapter));
        var directions = Directions(4, source.Layout);
        DocumentDirection[] pairs = [.. Enumerable.Range(0, 4).Select(i => new DocumentDirection(i, i))];
        var together = TokenSplits.ByPosition(source, documents, pairs, new DirectionsInMemory(directions), 1000);
        var apart = TokenSplits.ByPosition(source, documents, pairs, new DirectionsInMemory(directions), 1);
        var (lossTogether, lossApart) = (
            TokenSplits.ByLoss(model, adapter, source.Layout, documents, pairs, new DirectionsInMemory(directions), 1000),
            TokenSplits.ByLoss(model, adapter, source.Layout, documents, pairs, new DirectionsInMemory(directions), 1));
        for (var i = 0; i < pairs.Length; i++)
        {
            AssertTensor.Close(tensor(apart[i].Positions.ToArray()), tensor(together[i].Positions.ToArray()), relativeToMax: 1e-4);
            AssertTensor.Close(tensor(lossApart[i]), tensor(lossTogether[i]), relativeToMax: 1e-4);
        }
    }

    [Fact]
    public void Differences_that_do_not_add_up_to_the_product_give_way_to_the_exact_parts()
    {
        using var scope = NewDisposeScope();
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model, AllLinear);
        var (documents, source) = (SomeDocuments.Random(1), new AdapterGradientSource(model, adapter));
        var directions = new DirectionsInMemory(Directions(1, source.Layout));
        var exact = TokenSplits.ByLoss(model, adapter, source.Layout, documents, [new(0, 0)], directions, batchTokens: 64)[0];
        var twice = 2 * exact.Sum(); // no step's parts add up to this
        Assert.Equal(exact, TokenSplits.ByLossDifference(model, adapter, source.Layout, documents, [new(0, 0)], [twice], directions)[0]);
        Assert.NotEqual(exact, TokenSplits.ByLossDifference(model, adapter, source.Layout, documents, [new(0, 0)], [exact.Sum()], directions)[0]);
    }

    [Fact]
    public void A_split_leaves_no_tensor_behind()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        var (documents, source) = (SomeDocuments.Random(2), new AdapterGradientSource(model, adapter));
        using var directions = Directions(1, source.Layout);
        var before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        TokenSplits.ByPosition(source, documents, [new(0, 0), new(1, 0)], new DirectionsInMemory(directions), 64);
        TokenSplits.ByLoss(model, adapter, source.Layout, documents, [new(0, 0)], new DirectionsInMemory(directions), 64);
        TokenSplits.ByLossDifference(model, adapter, source.Layout, documents, [new(0, 0)], [1.0], new DirectionsInMemory(directions));
        Assert.Equal(before, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
    }

    internal static Tensor Directions(int count, ParameterLayout layout, long seed = 5) => randn([count, layout.Size], generator: new Generator((ulong)seed));
}
