using System.Globalization;
using GradientAtoms.Gradients;
using GradientAtoms.Models;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Generation;
using GradientAtoms.Tests.Runs;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Architectures;

/// <summary>Every folder of <c>fixtures/models</c>, whatever its architecture, against what transformers and peft compute. Tolerances are the fixtures' own.</summary>
public sealed class GoldenModelTests
{
    public static TheoryData<string> Variants => ModelFixture.Variants;

    [Theory]
    [MemberData(nameof(Variants))]
    public void Logits_and_losses_are_those_of_transformers(string variant)
    {
        using var scope = NewDisposeScope();
        using var fixture = new ModelFixture(variant);
        using var noGrad = no_grad();
        var (model, worstLogit, worstLoss) = (fixture.Loaded.Model, 0.0, 0.0);
        foreach (var module in fixture.Adapter.Modules)
        {
            Assert.Equal(fixture.Expected.GetProperty("scaling").GetProperty($"base_model.model.{module.ModuleName}").GetDouble(), module.Scale, 1e-12);
        }

        for (var i = 0; i < fixture.Documents.Count; i++)
        {
            using var one = NewDisposeScope();
            var document = fixture.Documents[i];
            var logits = Logits(model, document.Tokens, new() { Adapters = [fixture.Adapter] });
            worstLogit = Math.Max(worstLogit, Difference(fixture.Golden.Read($"doc{i}.logits"), logits));
            var targets = tensor(document.Tokens.Select(id => (long)id).ToArray());
            var first = Array.IndexOf(document.Trained, true);
            var count = document.Tokens.Length - first;
            var loss = nn.functional.cross_entropy(logits.narrow(0, first - 1, count), targets.narrow(0, first, count), reduction: nn.Reduction.Sum).item<float>();
            worstLoss = Math.Max(worstLoss, Math.Abs(loss - fixture.Losses[i]) / fixture.Losses[i]);
        }

        var worstBase = Difference(fixture.Golden.Read("doc0.base_logits"), Logits(model, fixture.Documents[0].Tokens, ForwardRequest.Base));
        Report($"{variant}: logits {worstLogit:E1}, without the adapter {worstBase:E1}, loss {worstLoss:E1}");
        Assert.InRange(worstLogit, 0, 1e-4);
        Assert.InRange(worstBase, 0, 1e-4);
        Assert.InRange(worstLoss, 0, 5e-6);
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public void Gradients_of_one_padded_batch_are_those_of_transformers_and_peft_document_by_document(string variant)
    {
        using var scope = NewDisposeScope();
        using var fixture = new ModelFixture(variant);
        var source = new AdapterGradientSource(fixture.Loaded.Model, fixture.Adapter);
        var sink = new RowsSink();
        source.Run(fixture.Documents, [.. Enumerable.Range(0, fixture.Documents.Count)], sink);
        Assert.Equal(fixture.Expected.GetProperty("parameter_order").GetArrayLength(), source.Layout.Maps.Count);
        var worst = 0.0;
        for (var i = 0; i < fixture.Documents.Count; i++)
        {
            using var one = NewDisposeScope();
            foreach (var map in source.Layout.Maps)
            {
                var expected = fixture.Golden.Read($"doc{i}.grad.{ModelFixture.ParameterName(map.ModuleName, map.Name[^1])}");
                var ours = sink.Rows![i].narrow(0, map.Offset, map.Size).view(map.OutputSize, map.InputSize);
                AssertTensor.Close(expected, ours, 5e-5, 2e-6);
                var largest = expected.abs().max().item<float>();
                worst = Math.Max(worst, largest > 1e-3 ? (expected - ours).abs().max().item<float>() / largest : 0);
            }
        }

        Report($"{variant}: gradients {worst:E1} of the largest");
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public void Both_styles_of_configuration_give_identical_logits(string variant)
    {
        using var scope = NewDisposeScope();
        using var fixture = new ModelFixture(variant);
        using var folder = new TemporaryFolder();
        foreach (var file in Directory.GetFiles(fixture.Folder, "model*"))
        {
            File.CreateSymbolicLink(folder[Path.GetFileName(file)], file);
        }

        File.Copy(Path.Combine(fixture.Folder, "config.alt.json"), folder["config.json"]);
        using var other = LoadedModel.Load(folder.Path);
        using var noGrad = no_grad();
        foreach (var document in fixture.Documents)
        {
            Assert.True(Logits(fixture.Loaded.Model, document.Tokens, ForwardRequest.Base).equal(Logits(other.Model, document.Tokens, ForwardRequest.Base)).all().item<bool>());
        }
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public void The_greedy_continuation_is_that_of_transformers(string variant)
    {
        using var fixture = new ModelFixture(variant);
        var wanted = ModelFixture.Ids(fixture.Expected.GetProperty("greedy_continuation"));
        var prompt = ModelFixture.Ids(fixture.Expected.GetProperty("greedy_input_ids"));
        Assert.Equal(wanted, TextGenerator.Generate(fixture.Loaded.Model, prompt, new() { MaxNewTokens = wanted.Length }, [fixture.Adapter]).Tokens);
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public void An_adapter_that_is_saved_and_loaded_again_has_pefts_keys_and_gives_identical_logits(string variant)
    {
        using var scope = NewDisposeScope();
        using var fixture = new ModelFixture(variant);
        using var folder = new TemporaryFolder();
        PeftAdapter.Save(folder["again"], fixture.Adapter, PeftAdapter.Configuration(fixture.AdapterFolder));
        using var again = PeftAdapter.Load(folder["again"], fixture.Loaded.Model);
        using var noGrad = no_grad();
        Assert.True(Logits(fixture.Loaded.Model, fixture.Documents[0].Tokens, new() { Adapters = [fixture.Adapter] })
            .equal(Logits(fixture.Loaded.Model, fixture.Documents[0].Tokens, new() { Adapters = [again] })).all().item<bool>());
        using var theirs = GradientAtoms.Models.Checkpoints.SafetensorsFile.Open(Path.Combine(fixture.AdapterFolder, "adapter_model.safetensors"));
        using var ours = GradientAtoms.Models.Checkpoints.SafetensorsFile.Open(Path.Combine(folder["again"], "adapter_model.safetensors"));
        Assert.Equal(theirs.Names.Order(StringComparer.Ordinal), ours.Names.Order(StringComparer.Ordinal), StringComparer.Ordinal);
    }

    internal static Tensor Logits(CausalLanguageModel model, IReadOnlyList<int> tokens, ForwardRequest request)
    {
        using var scope = NewDisposeScope();
        var ids = tensor(tokens.Select(id => (long)id).ToArray()).unsqueeze(0);
        return model.Logits(model.HiddenStates(ids, request)).squeeze(0).MoveToOuterDisposeScope();
    }

    private static double Difference(Tensor expected, Tensor actual) => (expected - actual).abs().max().item<float>();

    private static void Report(FormattableString text) => TestContext.Current.TestOutputHelper?.WriteLine(text.ToString(CultureInfo.InvariantCulture));

    private sealed class RowsSink : IGradientSink
    {
        public Tensor? Rows { get; private set; }

        public void Accept(GradientBatch batch) => Rows = batch.Rows().MoveToOuterDisposeScope();
    }
}
