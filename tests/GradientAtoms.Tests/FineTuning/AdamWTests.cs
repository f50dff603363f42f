using GradientAtoms.FineTuning;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.FineTuning;

public class AdamWTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(0.1)]
    public void Steps_are_those_of_torch(double weightDecay)
    {
        using var scope = NewDisposeScope();
        var generator = new Generator(4);
        var start = randn([6, 5], generator: generator);
        var gradients = Enumerable.Range(0, 8).Select(_ => randn([6, 5], generator: generator)).ToArray();
        var (mine, theirs) = (start.clone(), nn.Parameter(start.clone()));
        using var own = new AdamW([mine], [zeros_like(start)], [zeros_like(start)], new() { WeightDecay = weightDecay });
        var torch = optim.AdamW([theirs], lr: 0.02, weight_decay: weightDecay);

        for (var step = 0; step < gradients.Length; step++)
        {
            own.Step([gradients[step]], scale: 1, learningRate: 0.02, step + 1);
            theirs.grad = gradients[step].clone();
            torch.step();
        }

        AssertTensor.Close(theirs.detach(), mine, 1e-6);
        Assert.True((mine - start).abs().max().item<float>() > 0.05);
    }

    [Fact]
    public void A_gradient_is_scaled_before_its_moments()
    {
        using var scope = NewDisposeScope();
        var gradient = tensor(new[] { 3f, -4f });
        var second = zeros(2);
        using var optimiser = new AdamW([zeros(2)], [zeros(2)], [second], new());

        optimiser.Step([gradient], scale: 0.5, learningRate: 0.1, step: 1);

        AssertTensor.Close(gradient.square() * 0.25 * (1 - 0.999), second, 1e-5);
    }
}
