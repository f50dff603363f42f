using System.Text.Json;
using GradientAtoms.Models;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Architectures;

/// <summary>Llama variants against what transformers and peft compute.</summary>
public sealed class LlamaGoldenTests
{
    public static TheoryData<string> Variants => ["llama", "llama-all-linear", "llama-patterns", "llama-bf16", "llama-fp16", "llama3-rope"];

    [Theory]
    [MemberData(nameof(Variants))]
    public void Logits_losses_and_gradients_are_those_of_transformers_and_peft(string variant)
    {
        var folder = Fixtures.Need($"models/{variant}");
        using var scope = NewDisposeScope();
        using var loaded = LoadedModel.Load(folder);
        using var adapter = PeftAdapter.Load(Path.Combine(folder, "adapter"), loaded.Model);
        using var golden = SafetensorsFile.Open(Path.Combine(folder, "expected.safetensors"));
        var expected = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "expected.json"))).RootElement;
        var order = expected.GetProperty("parameter_order").EnumerateArray().ToList();
        var parameters = adapter.Modules.SelectMany(module => (Tensor[])[module.A, module.B]).ToList();
        Assert.Equal(order.Select(item => item.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64())), parameters.Select(tensor => tensor.shape));
        foreach (var module in adapter.Modules)
        {
            Assert.Equal(expected.GetProperty("scaling").GetProperty($"base_model.model.{module.ModuleName}").GetDouble(), module.Scale, 1e-12);
        }

        parameters.ForEach(parameter => parameter.requires_grad_(true));
        var request = new ForwardRequest { Adapters = [adapter] };
        var document = 0;
        foreach (var item in expected.GetProperty("documents").EnumerateArray())
        {
            using var one = NewDisposeScope();
            var ids = tensor(item.GetProperty("input_ids").EnumerateArray().Select(id => id.GetInt64()).ToArray()).unsqueeze(0);
            var logits = loaded.Model.Logits(loaded.Model.HiddenStates(ids, request)).squeeze(0); // [T, V]
            AssertTensor.Close(golden.Read($"doc{document}.logits"), logits.detach(), 0, 1e-4);

            var first = Math.Max(1, item.GetProperty("prompt_tokens").GetInt64());
            var targets = ids.squeeze(0).narrow(0, first, ids.shape[1] - first);
            var loss = nn.functional.cross_entropy(logits.narrow(0, first - 1, targets.shape[0]), targets, reduction: nn.Reduction.Sum);
            var wanted = item.GetProperty("loss_sum").GetDouble();
            Assert.InRange(loss.item<float>(), wanted * (1 - 5e-6), wanted * (1 + 5e-6));

            var gradients = autograd.grad([loss], parameters);
            foreach (var (name, gradient) in order.Select(entry => entry.GetProperty("name").GetString()).Zip(gradients))
            {
                AssertTensor.Close(golden.Read($"doc{document}.grad.{name}"), gradient, 5e-5, 2e-6);
            }

            document++;
        }

        using var noGrad = no_grad();
        var base0 = tensor(expected.GetProperty("documents")[0].GetProperty("input_ids").EnumerateArray().Select(id => id.GetInt64()).ToArray()).unsqueeze(0);
        AssertTensor.Close(golden.Read("doc0.base_logits"), loaded.Model.Logits(loaded.Model.HiddenStates(base0, ForwardRequest.Base)).squeeze(0), 0, 1e-4);
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public void Both_styles_of_configuration_give_the_same_model(string variant)
    {
        var folder = Fixtures.Need($"models/{variant}");
        var one = LlamaConfigurationReader.FromJson(ModelConfig.Read(Path.Combine(folder, "config.json")));
        var other = LlamaConfigurationReader.FromJson(ModelConfig.Read(Path.Combine(folder, "config.alt.json")));
        Assert.Equal(one, other);
    }
}
