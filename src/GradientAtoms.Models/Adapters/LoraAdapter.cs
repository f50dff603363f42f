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

    /// <summary>Whether every B is zero, as before training: the adapted model is the model.</summary>
    public bool ChangesNothing()
    {
        using var scope = NewDisposeScope();
        return Modules.All(module => !module.B.any().item<bool>());
    }

    /// <summary>A fresh adapter as peft makes it: A from a uniform distribution (Kaiming, a = √5: ±1/√in), B zero, so that it changes nothing yet.</summary>
    /// <param name="model">The model that it is for.</param>
    /// <param name="configuration">Targets, ranks and alphas.</param>
    /// <param name="seed">Of A.</param>
    /// <returns>In the model's forward order, on its device. The caller owns it.</returns>
    /// <exception cref="AdapterException">GA2406: no module is a target.</exception>
    public static LoraAdapter Create(Architectures.CausalLanguageModel model, PeftConfiguration configuration, ulong seed)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var generator = new Generator(seed);
        return new([.. PeftAdapter.TargetsOf(configuration, model, "the new adapter").Select(module =>
        {
            var (rank, bound) = (configuration.RankOf(module.Name), 1 / Math.Sqrt(module.InputSize));
            var uniform = rand([rank, module.InputSize], generator: generator);
            return new LoraModule(
                module.Name, (uniform * (2 * bound)).sub(bound).to(model.Device), zeros([module.OutputSize, rank], device: model.Device), configuration.ScaleOf(module.Name));
        })]);
    }

    /// <summary>A fresh adapter with one rank and alpha for all its modules.</summary>
    /// <param name="model">The model that it is for.</param>
    /// <param name="targets">Module names (<c>q_proj</c>), or <c>all-linear</c> alone.</param>
    /// <param name="rank">The rank r.</param>
    /// <param name="alpha">The scale is alpha / r.</param>
    /// <param name="seed">Of A.</param>
    /// <returns>In the model's forward order, on its device. The caller owns it.</returns>
    /// <exception cref="AdapterException">GA2406: no module is a target.</exception>
    public static LoraAdapter Create(Architectures.CausalLanguageModel model, IReadOnlyList<string> targets, int rank, double alpha, ulong seed) =>
        Create(model, PeftConfiguration.Of(targets, rank, alpha), seed);

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
