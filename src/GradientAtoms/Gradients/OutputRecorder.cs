using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using static TorchSharp.torch;

namespace GradientAtoms.Gradients;

/// <summary>Keeps inputs and outputs of the adapted modules beyond the forward pass, and starts the graph at the first of them.</summary>
internal sealed class OutputRecorder(LoraAdapter adapter) : ILinearObserver, IDisposable
{
    public Dictionary<string, Tensor> Inputs { get; } = new(StringComparer.Ordinal);

    public Dictionary<string, Tensor> Outputs { get; } = new(StringComparer.Ordinal);

    public Tensor Observe(LinearModule linear, Tensor input, Tensor output)
    {
        if (adapter.Find(linear.Name) is null)
        {
            return output;
        }

        // Nothing before the first adapted module has a gradient, so there the graph has to be started by hand.
        var observed = output.requires_grad ? output : output.detach().requires_grad_();
        Inputs[linear.Name] = input.detach().DetachFromDisposeScope();
        Outputs[linear.Name] = observed.DetachFromDisposeScope();
        return observed;
    }

    public void Dispose()
    {
        foreach (var tensor in Inputs.Values.Concat(Outputs.Values))
        {
            tensor.Dispose();
        }
    }
}
