using static TorchSharp.torch;

namespace GradientAtoms.Models.Adapters;

/// <summary>The low-rank change of one linear module: ΔW = s·B A.</summary>
/// <param name="ModuleName">As <see cref="Architectures.LinearModule.Name"/> spells it.</param>
/// <param name="A"><c>[r, in]</c>, float32.</param>
/// <param name="B"><c>[out, r]</c>, float32.</param>
/// <param name="Scale">s: alpha / r, or alpha / √r (rsLoRA).</param>
public sealed record LoraModule(string ModuleName, Tensor A, Tensor B, double Scale)
{
    /// <summary>The rank r.</summary>
    public int Rank => (int)A.shape[0];
}

/// <summary>A set of low-rank changes, one a module, in the model's forward order. Owns its tensors.</summary>
public sealed class LoraAdapter : IDisposable
{
    private readonly Dictionary<string, LoraModule> _byName;

    /// <summary>Takes over the tensors of the modules.</summary>
    /// <param name="modules">In the model's forward order: this is the order of a flat gradient.</param>
    public LoraAdapter(IReadOnlyList<LoraModule> modules)
    {
        Modules = modules;
        _byName = modules.ToDictionary(module => module.ModuleName, StringComparer.Ordinal);
        foreach (var module in modules)
        {
            module.A.DetachFromDisposeScope();
            module.B.DetachFromDisposeScope();
        }
    }

    /// <summary>The adapted modules, in the model's forward order.</summary>
    public IReadOnlyList<LoraModule> Modules { get; }

    /// <summary>Parameters of the adapter, d.</summary>
    public long ParameterCount => Modules.Sum(module => module.A.numel() + module.B.numel());

    /// <summary>The change of a module, or null where the adapter leaves it alone.</summary>
    public LoraModule? Find(string moduleName) => _byName.GetValueOrDefault(moduleName);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var module in Modules)
        {
            module.A.Dispose();
            module.B.Dispose();
        }
    }
}
