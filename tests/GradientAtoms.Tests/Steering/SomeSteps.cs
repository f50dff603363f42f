using GradientAtoms.Gradients;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Steering;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Steering;

internal static class SomeSteps
{
    public static WeightStep Random(LoraAdapter adapter, long seed = 11, double length = 1)
    {
        using var scope = NewDisposeScope();
        var layout = ParameterLayout.Of(adapter, name => name);
        var direction = randn([layout.Size], generator: new Generator((ulong)seed));
        return new(direction * (length / direction.norm().item<float>()), layout, new(StepMode.Random));
    }

    /// <summary>Minus the gradient of the documents' loss: a small step along it makes them more likely.</summary>
    public static WeightStep Descent(CausalLanguageModel model, LoraAdapter adapter, IReadOnlyList<TokenizedDocument> documents)
    {
        using var scope = NewDisposeScope();
        using var working = new LoraAdapter([.. adapter.Modules.Select(module => module with { A = module.A.clone().requires_grad_(), B = module.B.clone().requires_grad_() })]);
        var parameters = working.Modules.SelectMany(module => (Tensor[])[module.A, module.B]).ToArray();
        var total = zeros(parameters.Sum(parameter => parameter.numel()));
        foreach (var document in documents)
        {
            var tokens = tensor(document.Tokens.Select(token => (long)token).ToArray());
            var logits = model.Logits(model.HiddenStates(tokens.unsqueeze(0), new() { Adapters = [working] }))[0];
            var losses = nn.functional.cross_entropy(logits[..^1], tokens[1..], reduction: nn.Reduction.None);
            var loss = (losses * tensor(document.Trained.Skip(1).Select(trained => trained ? 1f : 0f).ToArray())).sum();
            total += cat([.. autograd.grad([loss], parameters).Select(part => part.flatten())]);
        }

        var layout = ParameterLayout.Of(adapter, name => name);
        return new((-total / total.norm()).detach(), layout, new(StepMode.Mean));
    }
}
