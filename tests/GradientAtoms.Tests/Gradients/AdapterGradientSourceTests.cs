using GradientAtoms.Gradients;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Tests.Support;
using GradientAtoms.Text.Documents;
using TorchSharp;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Gradients;

public class AdapterGradientSourceTests
{
    private static readonly string[] AllLinear = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Gradients_of_a_batch_are_those_of_autograd_document_by_document(bool allLinear)
    {
        using var scope = NewDisposeScope();
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model, allLinear ? AllLinear : null);
        var documents = SomeDocuments.Random(6);
        var rows = Rows(model, adapter, documents, [0, 1, 2, 3, 4, 5]);
        for (var i = 0; i < documents.Count; i++)
        {
            AssertTensor.Close(AutogradRow(model, adapter, documents[i]), rows[i], relativeToMax: 5e-5, absolute: 2e-6);
        }
    }

    [Fact]
    public void Results_do_not_depend_on_the_batch_a_document_is_in()
    {
        using var scope = NewDisposeScope();
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        var documents = SomeDocuments.Random(5);
        var together = Rows(model, adapter, documents, [0, 1, 2, 3, 4]);
        for (var i = 0; i < documents.Count; i++)
        {
            AssertTensor.Close(Rows(model, adapter, documents, [i])[0], together[i], relativeToMax: 1e-4);
        }
    }

    [Fact]
    public void Output_gradients_at_padding_are_exactly_zero()
    {
        using var scope = NewDisposeScope();
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        IReadOnlyList<TokenizedDocument> documents = [.. SomeDocuments.Random(1, shortest: 4, longest: 4), .. SomeDocuments.Random(1, shortest: 9, longest: 9)];
        var largest = double.NaN;
        new AdapterGradientSource(model, adapter).Run(documents, [0, 1], new Sink(batch =>
            largest = batch.Maps.Max(map => map.OutputGradients[0].narrow(0, 4, 5).abs().max().item<float>())));
        Assert.Equal(0, largest);
    }

    [Fact]
    public void The_self_check_passes_on_a_model_that_is_right()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model, AllLinear);
        var result = GradientSelfCheck.Run(model, adapter, SomeDocuments.Random(3));
        Assert.True(result.Passed, result.ToString());
        Assert.True(result.AgainstAutograd < 1e-4);
    }

    [Fact]
    public void The_self_check_fails_when_the_adapter_of_the_pass_is_not_the_one_that_is_trained()
    {
        using var model = Some.Llama();
        using var right = Some.Adapter(model);
        using var wrong = new LoraAdapter([.. right.Modules.Select(module => module with { A = module.A.clone(), B = module.B.clone(), Scale = module.Scale * 1.1 })]);
        using var scope = NewDisposeScope();
        var documents = SomeDocuments.Random(1);
        var difference = (Rows(model, wrong, documents, [0])[0] - AutogradRow(model, right, documents[0])).norm() / AutogradRow(model, right, documents[0]).norm();
        Assert.True(difference.item<float>() > 1e-3);
    }

    [Fact]
    public void A_weight_that_is_not_a_number_stops_the_pass_with_its_document()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        adapter.Modules[1].B[0, 0] = float.NaN;
        var error = Assert.Throws<NumericalException>(() => new AdapterGradientSource(model, adapter).Run(SomeDocuments.Random(2), [0, 1]));
        Assert.Contains("doc-", error.Message, StringComparison.Ordinal);
        Assert.Equal("GA2501", error.Code);
    }

    [Fact]
    public void A_pass_leaves_no_tensor_behind()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        var source = new AdapterGradientSource(model, adapter);
        var before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        source.Run(SomeDocuments.Random(3), [0, 1, 2], new Sink(batch => batch.Rows()));
        Assert.Equal(before, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
    }

    internal static Tensor Rows(CausalLanguageModel model, LoraAdapter adapter, IReadOnlyList<TokenizedDocument> documents, IReadOnlyList<int> batch)
    {
        Tensor? rows = null;
        new AdapterGradientSource(model, adapter).Run(documents, batch, new Sink(result => rows = result.Rows().MoveToOuterDisposeScope()));
        return rows!;
    }

    internal static Tensor AutogradRow(CausalLanguageModel model, LoraAdapter adapter, TokenizedDocument document)
    {
        foreach (var module in adapter.Modules)
        {
            module.A.requires_grad_();
            module.B.requires_grad_();
        }

        var tokens = tensor(document.Tokens.Select(token => (long)token).ToArray()).unsqueeze(0);
        var logits = model.Logits(model.HiddenStates(tokens, new() { Adapters = [adapter] }))[0];
        var losses = nn.functional.cross_entropy(logits.narrow(0, 0, document.Tokens.Length - 1), tokens[0].narrow(0, 1, document.Tokens.Length - 1), reduction: nn.Reduction.None);
        var mask = tensor(document.Trained.Skip(1).Select(trained => trained ? 1f : 0f).ToArray());
        var gradients = autograd.grad([(losses * mask).sum()], [.. adapter.Modules.SelectMany(module => (Tensor[])[module.A, module.B])]);
        foreach (var module in adapter.Modules)
        {
            module.A.requires_grad_(false);
            module.B.requires_grad_(false);
        }

        return cat([.. gradients.Select(gradient => gradient.flatten())]);
    }

    internal sealed class Sink(Action<GradientBatch> look) : IGradientSink
    {
        public void Accept(GradientBatch batch) => look(batch);
    }
}
