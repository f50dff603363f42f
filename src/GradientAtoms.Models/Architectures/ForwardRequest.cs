using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Generation;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>Sees the inputs and outputs of linear modules as a forward pass computes them.</summary>
public interface ILinearObserver
{
    /// <summary>Called once a module and forward pass, after adapters have been added.</summary>
    /// <param name="linear">The module.</param>
    /// <param name="input"><c>[B, T, in]</c>.</param>
    /// <param name="output"><c>[B, T, out]</c>.</param>
    /// <returns>The output that the pass goes on with: the same tensor, unless the observer starts a graph at it.</returns>
    Tensor Observe(LinearModule linear, Tensor input, Tensor output);
}

/// <summary>
/// What belongs to one forward pass and not to the model: adapters and steps (weight deltas), an observer, a cache.
/// The model itself has no state between requests.
/// </summary>
public sealed class ForwardRequest
{
    /// <summary>Nothing but the base model.</summary>
    public static ForwardRequest Base { get; } = new();

    /// <summary>Low-rank changes of the weights, added up: the adapter first, steps after it.</summary>
    public IReadOnlyList<LoraAdapter> Adapters { get; init; } = [];

    /// <summary>Sees inputs and outputs of the linear modules, or null.</summary>
    public ILinearObserver? Observer { get; init; }

    /// <summary>Keys and values of earlier tokens, or null. The pass appends to it.</summary>
    public KeyValueCache? Cache { get; init; }

    /// <summary>Whether gradients of this pass are to be differentiated once more: attention is then made of operations that can be.</summary>
    public bool DifferentiatesTwice { get; init; }

    /// <summary>Applies a linear module with this request's adapters: y = W x + b + Σ s·B(A x).</summary>
    /// <param name="module">The module.</param>
    /// <param name="input"><c>[B, T, in]</c>.</param>
    /// <returns><c>[B, T, out]</c>.</returns>
    public Tensor Apply(LinearModule module, Tensor input)
    {
        using var scope = NewDisposeScope();
        var tokens = input.flatten(0, 1); // [B·T, in]
        var sum = nn.functional.linear(tokens, module.Weight, module.Bias);
        foreach (var adapter in Adapters)
        {
            if (adapter.Find(module.Name) is { } lora)
            {
                sum = sum.addmm_(tokens.matmul(lora.A.t()), lora.B.t(), beta: 1, alpha: (float)lora.Scale);
            }
        }

        var output = sum.view(input.shape[0], input.shape[1], -1);
        return (Observer is null ? output : Observer.Observe(module, input, output)).MoveToOuterDisposeScope();
    }
}
