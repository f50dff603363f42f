using GradientAtoms.Curvature;
using GradientAtoms.Gradients;
using GradientAtoms.Localisation;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Localisation;

public class PlaceTallyTests
{
    [Theory]
    [InlineData("llama")]
    [InlineData("gpt2")]
    [InlineData("gpt_neox")]
    [InlineData("phi3")]
    [InlineData("gemma3")]
    public void Energies_are_those_of_the_direction_turned_back_whole_and_add_up(string family)
    {
        using var scope = NewDisposeScope();
        using var loaded = TinyModels.Load(family);
        using var adapter = Some.Adapter(loaded.Model, [.. loaded.Model.LinearModules.Select(module => module.Name)]);
        var source = new AdapterGradientSource(loaded.Model, adapter);
        var places = new NetworkPlaces(source.Layout, loaded.Model.LinearModules);
        using var bases = RandomBases(source.Layout);
        var rotated = TokenSplitsTests.Directions(2, source.Layout);
        var tally = new PlaceTally(places, count: 2, neurons: 7);
        foreach (var map in source.Layout.Maps)
        {
            tally.AddEnergy(map, bases, rotated.narrow(1, map.Offset, map.Size));
        }

        var splits = tally.Splits();
        var turned = bases.RotateBack(rotated).square().to(ScalarType.Float64);
        for (var row = 0; row < 2; row++)
        {
            var total = turned[row].sum().item<double>();
            Assert.Equal(total, splits[row].Total, 1e-4 * total);
            Assert.Equal(1, splits[row].Shares().Maps.Sum(), 1e-9);
            foreach (var (segment, energy) in places.Segments.Zip(splits[row].Segments))
            {
                var map = source.Layout[$"{segment.Module}.{(segment.Side == PlaceSide.Writes ? "lora_B" : "lora_A")}"];
                var entries = turned[row].narrow(0, map.Offset, map.Size).view(map.OutputSize, map.InputSize);
                var own = entries.narrow(segment.Side == PlaceSide.Writes ? 0 : 1, segment.Segment.First, segment.Segment.Count).sum().item<double>();
                Assert.Equal(own, energy, 1e-4 * total);
            }

            var largest = source.Layout.Maps.Where(map => places.SideOf(map) == PlaceSide.Writes)
                .SelectMany(map => turned[row].narrow(0, map.Offset, map.Size).view(map.OutputSize, map.InputSize).sum(1).data<double>().ToArray())
                .OrderDescending().Take(7).ToArray();
            AssertTensor.Close(tensor(largest), tensor(splits[row].Neurons.Select(neuron => neuron.Value).ToArray()), relativeToMax: 1e-4);
        }
    }

    [Theory]
    [InlineData("llama", "q:4 k:2 v:2 o:4")]
    [InlineData("phi3", "gate:1 q:4 k:2 v:2 o:4 up:1")]
    [InlineData("gpt2", "q:4 k:4 v:4 o:4")]
    [InlineData("gpt_neox", "q:4 k:4 v:4 o:4")]
    public void Heads_of_a_layer_cover_their_rows_once(string family, string expected)
    {
        using var loaded = TinyModels.Load(family);
        var layer = loaded.Model.LinearModules.Where(module => module.Name.Contains(".1.", StringComparison.Ordinal)).ToList();
        var counts = layer.SelectMany(module => module.OutputSegments.Concat(module.InputSegments)).GroupBy(segment => segment.Part, StringComparer.Ordinal).Select(part => $"{part.Key}:{part.Count()}");
        Assert.Equal(expected.Split(' ').Order(StringComparer.Ordinal), counts.Order(StringComparer.Ordinal));
        foreach (var (segments, size) in layer.SelectMany(module => new[] { (module.OutputSegments, module.OutputSize), (module.InputSegments, module.InputSize) }).Where(pair => pair.Item1.Count > 0))
        {
            Assert.Equal(Enumerable.Range(0, size), segments.SelectMany(segment => Enumerable.Range(segment.First, segment.Count)).Order());
        }
    }

    [Theory]
    [InlineData("llama")]
    [InlineData("gpt2")]
    [InlineData("gpt_neox")]
    [InlineData("phi3")]
    public void What_a_head_is_said_to_write_is_what_its_head_reads(string family)
    {
        // A change of one head's values reaches the output projection's inputs in the columns of the heads that it serves, and in no others.
        using var scope = NewDisposeScope();
        using var loaded = TinyModels.Load(family);
        var values = loaded.Model.LinearModules.First(module => module.OutputSegments.Any(segment => segment.Part == "v"));
        var output = loaded.Model.LinearModules.First(module => module.InputSegments.Count > 0);
        var heads = values.OutputSegments.Where(segment => segment.Part == "v").ToList();
        foreach (var head in heads)
        {
            var (before, after) = (Inputs(null), Inputs(head)); // [1, T, in]
            var moved = (after - before).abs().amax([0, 1]); // [in]
            foreach (var reading in output.InputSegments)
            {
                var serves = reading.Head!.Value / (output.InputSegments.Count / heads.Count) == head.Head;
                Assert.Equal(serves, moved.narrow(0, reading.First, reading.Count).max().item<float>() > 1e-4);
            }
        }

        Tensor Inputs(WeightSegment? changed)
        {
            var observer = new Moved(values.Name, output.Name, changed);
            using var _ = no_grad();
            loaded.Model.HiddenStates(tensor(new long[] { 5, 9, 13, 20 }).unsqueeze(0), new() { Observer = observer });
            return observer.Seen!;
        }
    }

    [Fact]
    public void Products_with_a_gradient_split_by_head_and_neuron_and_add_up_to_the_product()
    {
        using var scope = NewDisposeScope();
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model, ["q_proj", "o_proj", "up_proj"]);
        var source = new AdapterGradientSource(model, adapter);
        var places = new NetworkPlaces(source.Layout, model.LinearModules);
        var directions = TokenSplitsTests.Directions(1, source.Layout);
        var documents = SomeDocuments.Random(3);
        var split = DocumentPlaces.Split(source, documents, 1, directions[0], places, neurons: 1000);
        var whole = TokenSplits.ByPosition(source, documents, [new(1, 0)], new DirectionsInMemory(directions), 64)[0];
        var scale = split.Maps.Max(Math.Abs);
        Assert.Equal(whole.Total, split.Total, 1e-4 * scale);
        AssertTensor.Close(tensor(whole.Maps.ToArray()), tensor(split.Maps.ToArray()), relativeToMax: 1e-4);

        // The q heads are all of lora_B's rows there, the o heads all of lora_A's columns, the neurons all rows of lora_B.
        double Of(string name) => source.Layout.Maps.Zip(split.Maps).Where(pair => pair.First.Name.EndsWith(name, StringComparison.Ordinal)).Sum(pair => pair.Second);
        double Heads(string part) => places.Segments.Zip(split.Segments).Where(pair => pair.First.Segment.Part == part).Sum(pair => pair.Second);
        Assert.Equal(Of("q_proj.lora_B"), Heads("q"), 1e-4 * scale);
        Assert.Equal(Of("o_proj.lora_A"), Heads("o"), 1e-4 * scale);
        Assert.Equal(Of("lora_B"), split.Neurons.Sum(neuron => neuron.Value), 1e-4 * scale);
    }

    internal static CurvatureBases RandomBases(ParameterLayout layout)
    {
        var generator = new Generator(9);
        var bases = new SortedDictionary<string, EigenBasis>(StringComparer.Ordinal);
        foreach (var (name, size) in layout.Maps.SelectMany(map => new[] { (CovarianceSums.InputSum(map), map.InputSize), (CovarianceSums.OutputSum(map), map.OutputSize) }))
        {
            if (!bases.ContainsKey(name))
            {
                using var scope = NewDisposeScope();
                bases[name] = new(linalg.qr(randn([size, size], generator: generator)).Q.contiguous().DetachFromDisposeScope(), ones(size, dtype: ScalarType.Float64).DetachFromDisposeScope());
            }
        }

        return new(layout, bases);
    }

    /// <summary>Adds 1 to one head's values, and looks at what the output projection reads.</summary>
    private sealed class Moved(string values, string output, WeightSegment? changed) : ILinearObserver
    {
        public Tensor? Seen { get; private set; }

        public Tensor Observe(LinearModule linear, Tensor input, Tensor result)
        {
            if (linear.Name == output)
            {
                Seen ??= input.clone().DetachFromDisposeScope();
            }

            if (linear.Name == values && changed is not null)
            {
                result = result.clone();
                result.narrow(2, changed.First, changed.Count).add_(1);
            }

            return result;
        }
    }
}
