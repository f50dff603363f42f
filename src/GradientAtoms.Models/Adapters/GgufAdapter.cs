using System.Runtime.InteropServices;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Adapters;

/// <summary>LoRA adapters as llama.cpp reads them beside a GGUF model (<c>--lora</c>), with the names, row orders and metadata of its own converter.</summary>
public static class GgufAdapter
{
    /// <summary>Writes an adapter. The same adapter gives the same bytes.</summary>
    /// <param name="path">The file; replaced where it exists.</param>
    /// <param name="adapter">The adapter. llama.cpp knows one alpha for all modules: where scales differ, B is stored multiplied.</param>
    /// <param name="model">The model that it is for.</param>
    /// <param name="provenance">Where it comes from, as metadata of these keys; null: nothing is added.</param>
    /// <exception cref="AdapterException">GA2409: GGUF has no name for one of its modules.</exception>
    public static void Write(string path, LoraAdapter adapter, CausalLanguageModel model, IReadOnlyDictionary<string, string>? provenance = null)
    {
        ArgumentNullException.ThrowIfNull(adapter);
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var (architecture, configuration) = (GgufNames.ArchitectureOf(model.Architecture), ((DecoderModel)model).Configuration);
        var alpha = (float)(adapter.Modules[0].Scale * adapter.Modules[0].Rank);
        var writer = new GgufWriter()
            .With("general.architecture", architecture)
            .With("general.type", "adapter")
            .With("adapter.type", "lora")
            .With("adapter.lora.alpha", alpha);
        foreach (var (key, value) in provenance ?? new Dictionary<string, string>(StringComparer.Ordinal))
        {
            writer.With(key, value);
        }

        foreach (var module in adapter.Modules)
        {
            var name = GgufNames.GgufModule(architecture, module.ModuleName)
                ?? throw new AdapterException("GA2409", path, $"GGUF has no name for {module.ModuleName} of a {architecture}", "Use `gatoms export adapter` or `gatoms export merged`.");
            var ratio = module.Scale * module.Rank / alpha;
            var b = ratio == 1 ? module.B : module.B * ratio;
            Add($"{name}.weight.lora_a", module.A);
            Add($"{name}.weight.lora_b", Ordered(b, architecture, name, configuration, isToFile: true));
        }

        writer.Write(path);

        void Add(string name, Tensor values) => writer.Tensor(name, values.shape, type: 0, MemoryMarshal.AsBytes<float>(values.cpu().contiguous().data<float>().ToArray()).ToArray());
    }

    /// <summary>Reads an adapter back.</summary>
    /// <param name="path">The file.</param>
    /// <param name="model">The model that it is for.</param>
    /// <returns>In the model's forward order, float32, on the model's device. The caller owns it.</returns>
    /// <exception cref="AdapterException">GA2404: it is no adapter, or one of another model.</exception>
    /// <exception cref="CheckpointException">GA2301, GA2310, GA2311, GA2313: no such file, or no GGUF.</exception>
    public static LoraAdapter Read(string path, CausalLanguageModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        using var scope = NewDisposeScope();
        using var file = GgufFile.Open(path);
        var (architecture, configuration) = (GgufNames.ArchitectureOf(model.Architecture), ((DecoderModel)model).Configuration);
        if (file.String("general.type") != "adapter" || file.String("adapter.type") != "lora" || file.Number("adapter.lora.alpha") is not { } alpha)
        {
            throw OtherModel(path, "is no LoRA adapter: it lacks general.type adapter, adapter.type lora or adapter.lora.alpha");
        }

        if (file.String("general.architecture") != architecture)
        {
            throw OtherModel(path, $"is an adapter of the architecture {file.String("general.architecture")}, the model is {architecture}");
        }

        var left = file.Tensors.Select(tensor => tensor.Name).ToHashSet(StringComparer.Ordinal);
        var modules = new List<LoraModule>();
        foreach (var linear in model.LinearModules)
        {
            if (GgufNames.GgufModule(architecture, linear.Name) is not { } name)
            {
                continue;
            }

            var (aName, bName) = ($"{name}.weight.lora_a", $"{name}.weight.lora_b");
            if (!left.Remove(aName) | !left.Remove(bName))
            {
                continue;
            }

            var (a, b) = (file.Tensor(aName).Shape, file.Tensor(bName).Shape);
            if (a.Count != 2 || b.Count != 2 || a[0] != b[1] || a[1] != linear.InputSize || b[0] != linear.OutputSize)
            {
                throw OtherModel(path, $"{name} has factors of {SafetensorsHeader.Spell(a)} and {SafetensorsHeader.Spell(b)}, the module maps {linear.InputSize} to {linear.OutputSize}");
            }

            modules.Add(new(
                linear.Name,
                file.Read(aName).to(model.Device),
                Ordered(file.Read(bName), architecture, name, configuration, isToFile: false).to(model.Device),
                alpha / a[0]));
        }

        return left.Count == 0 && modules.Count > 0 ? new LoraAdapter(modules) : throw OtherModel(path, $"holds {string.Join(", ", left.Order(StringComparer.Ordinal).Take(4))}, which the model does not have");
    }

    // The converter turns the rows of some weights round, and so those of their B.
    private static Tensor Ordered(Tensor b, string architecture, string name, DecoderConfiguration configuration, bool isToFile)
    {
        var (heads, keyHeads) = (configuration.HeadCount, configuration.KeyValueHeadCount);
        return (architecture, name[(name.LastIndexOf('.') + 1)..]) switch
        {
            ("llama", "attn_q") => isToFile ? GgufRows.SideBySide(b, heads) : GgufRows.InHalves(b, heads),
            ("llama", "attn_k") => isToFile ? GgufRows.SideBySide(b, keyHeads) : GgufRows.InHalves(b, keyHeads),
            ("gptneox", "attn_qkv") => isToFile ? GgufRows.OneAfterTheOther(b, heads) : GgufRows.InterleavedByHead(b, heads),
            _ => b,
        };
    }

    private static AdapterException OtherModel(string path, string problem) => new("GA2404", path, problem, "It is an adapter of another model, or damaged: write it again.");
}
