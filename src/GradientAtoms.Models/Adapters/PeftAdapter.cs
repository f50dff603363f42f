using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Adapters;

/// <summary>LoRA adapters as peft stores them: <c>adapter_config.json</c> and <c>adapter_model.safetensors</c> in a folder.</summary>
public static class PeftAdapter
{
    private const string ConfigurationFile = "adapter_config.json";
    private const string WeightsFile = "adapter_model.safetensors";
    private const string Prefix = "base_model.model.";
    private const int MostNamed = 4;

    /// <summary>Whether a folder holds an adapter.</summary>
    public static bool IsAdapter(string folder) => File.Exists(Path.Combine(folder, ConfigurationFile));

    /// <summary>Reads the configuration of an adapter.</summary>
    /// <exception cref="AdapterException">GA2401 to GA2403.</exception>
    public static PeftConfiguration Configuration(string folder) => PeftConfigurationFile.Read(Path.Combine(folder, ConfigurationFile));

    /// <summary>Loads an adapter for a model.</summary>
    /// <param name="folder">The folder that peft wrote.</param>
    /// <param name="model">The model that it was trained on.</param>
    /// <param name="name">The adapter's name where peft kept it in the tensors' names, normally none.</param>
    /// <returns>In the model's forward order, float32, on the model's device. The caller owns it.</returns>
    /// <exception cref="AdapterException">GA2401 to GA2406.</exception>
    /// <exception cref="CheckpointException">GA2301 to GA2304: the weights are no safetensors file.</exception>
    public static LoraAdapter Load(string folder, CausalLanguageModel model, string? name = null)
    {
        var configuration = Configuration(folder);
        var path = Path.Combine(folder, WeightsFile);
        if (!File.Exists(path))
        {
            throw new AdapterException(
                "GA2401", folder, $"has no {WeightsFile}",
                File.Exists(Path.Combine(folder, "adapter_model.bin")) ? "It has pickled weights, which can run code: save it again with safe_serialization." : "Name the folder that peft wrote.");
        }

        using var file = SafetensorsFile.Open(path);
        var targets = TargetsOf(configuration, model, folder);
        var left = new HashSet<string>(file.Names, StringComparer.Ordinal);
        var modules = new List<LoraModule>();
        try
        {
            foreach (var module in targets)
            {
                var rank = configuration.RankOf(module.Name);
                var a = Read(file, left, KeyOf(module.Name, 'A', name), [rank, module.InputSize], model.Device);
                modules.Add(new(module.Name, a, a, 0));
                var b = Read(file, left, KeyOf(module.Name, 'B', name), [module.OutputSize, rank], model.Device);
                modules[^1] = new(module.Name, a, b, configuration.ScaleOf(module.Name));
            }

            return left.Count == 0
                ? new LoraAdapter(modules)
                : throw OtherModel(path, $"holds {List([.. left.Order(StringComparer.Ordinal)])}, which the model or the adapter's targets do not have");
        }
        catch
        {
            foreach (var module in modules)
            {
                module.A.Dispose();
                module.B.Dispose();
            }

            throw;
        }
    }

    /// <summary>Writes an adapter as peft does; peft loads it.</summary>
    /// <param name="folder">Made where it does not exist.</param>
    /// <param name="adapter">The adapter.</param>
    /// <param name="configuration">Its configuration: ranks and scales of the modules must be those of the adapter.</param>
    /// <exception cref="ArgumentException">Configuration and adapter say different things.</exception>
    public static void Save(string folder, LoraAdapter adapter, PeftConfiguration configuration)
    {
        foreach (var module in adapter.Modules)
        {
            if (!configuration.Targets(module.ModuleName) || configuration.RankOf(module.ModuleName) != module.Rank
                || Math.Abs(configuration.ScaleOf(module.ModuleName) - module.Scale) > 1e-9 * Math.Abs(module.Scale))
            {
                throw new ArgumentException(
                    $"{module.ModuleName} has rank {module.Rank} and scale {module.Scale}, the configuration says {configuration.RankOf(module.ModuleName)} and {configuration.ScaleOf(module.ModuleName)}", nameof(configuration));
            }
        }

        Directory.CreateDirectory(folder);
        SafetensorsWriter.Write(
            Path.Combine(folder, WeightsFile),
            adapter.Modules.SelectMany(module => ((string, Tensor)[])[(KeyOf(module.ModuleName, 'A', null), module.A), (KeyOf(module.ModuleName, 'B', null), module.B)]),
            new Dictionary<string, string>(StringComparer.Ordinal) { ["format"] = "pt" });
        var path = Path.Combine(folder, ConfigurationFile);
        var beside = $"{path}.{Environment.ProcessId}.tmp";
        File.WriteAllBytes(beside, PeftConfigurationFile.Write(configuration));
        File.Move(beside, path, overwrite: true);
    }

    /// <summary>The modules of a model that a configuration targets, in forward order.</summary>
    /// <exception cref="AdapterException">GA2406: none.</exception>
    internal static IReadOnlyList<LinearModule> TargetsOf(PeftConfiguration configuration, CausalLanguageModel model, string location)
    {
        List<LinearModule> targets = [.. model.LinearModules.Where(module => configuration.Targets(module.Name))];
        return targets.Count > 0
            ? targets
            : throw AdapterException.NoTarget(location, configuration, model.Architecture, model.LinearModules.Select(module => module.Name));
    }

    private static string KeyOf(string module, char factor, string? name) => $"{Prefix}{module}.lora_{factor}.{(name is null ? "" : $"{name}.")}weight";

    private static Tensor Read(SafetensorsFile file, HashSet<string> left, string key, long[] shape, Device device)
    {
        if (!left.Remove(key))
        {
            throw OtherModel(file.Path, $"lacks {key}");
        }

        var entry = file.Entry(key);
        if (!entry.Shape.SequenceEqual(shape))
        {
            throw OtherModel(file.Path, $"{key} is {SafetensorsHeader.Spell(entry.Shape)}, the model and adapter_config.json say {SafetensorsHeader.Spell(shape)}");
        }

        using var scope = NewDisposeScope();
        var values = file.Read(key);
        if (values.dtype != ScalarType.Float32)
        {
            throw new AdapterException("GA2403", file.Path, $"{key} is stored as {entry.StoredType}, which is not supported", "Save the adapter in float32, float16 or bfloat16.");
        }

        return values.isfinite().all().item<bool>()
            ? values.to(device).MoveToOuterDisposeScope()
            : throw new AdapterException("GA2405", file.Path, $"{key} holds NaN or infinity", "The adapter's training diverged: use another checkpoint.");
    }

    private static AdapterException OtherModel(string path, string problem) => new("GA2404", path, problem, "It is an adapter of another model, or incomplete: name the adapter's own model.");

    private static string List(List<string> names) =>
        names.Count <= MostNamed ? string.Join(", ", names) : $"{string.Join(", ", names.Take(MostNamed))} and {names.Count - MostNamed} more";
}
