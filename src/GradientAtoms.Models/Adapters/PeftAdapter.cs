using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Adapters;

/// <summary>LoRA adapters as peft stores them: <c>adapter_config.json</c> and <c>adapter_model.safetensors</c> in a folder.</summary>
public static class PeftAdapter
{
    private const string ConfigurationFile = "adapter_config.json";
    private const string WeightsFile = "adapter_model.safetensors";
    private const int MostNamed = 4;

    /// <summary>Whether a folder holds an adapter.</summary>
    public static bool IsAdapter(string folder) => File.Exists(Path.Combine(folder, ConfigurationFile));

    /// <summary>The adapters below a folder, one a folder, as peft saves several of one model.</summary>
    /// <returns>Their paths, sorted; empty where there is no such folder.</returns>
    public static IReadOnlyList<string> AdaptersIn(string folder) =>
        Directory.Exists(folder) ? [.. Directory.EnumerateDirectories(folder).Where(IsAdapter).Order(StringComparer.Ordinal)] : [];

    /// <summary>Reads the configuration of an adapter.</summary>
    /// <exception cref="AdapterException">GA2401 to GA2403; GA2407: the folder holds several adapters.</exception>
    public static PeftConfiguration Configuration(string folder) => IsAdapter(folder) || AdaptersIn(folder) is not { Count: > 0 } several
        ? PeftConfigurationFile.Read(Path.Combine(folder, ConfigurationFile))
        : throw new AdapterException(
            "GA2407", folder, $"is no adapter itself, and holds {several.Count}: {List([.. several.Select(path => Path.GetFileName(path)!)])}", $"Name one: {several[0]}.");

    /// <summary>What an adapter's weights are, told without its model.</summary>
    /// <param name="folder">The folder that peft wrote.</param>
    /// <returns>Modules with factors, the parameters of the factors, and whether every lora_B is zero and no module was trained whole.</returns>
    /// <exception cref="AdapterException">GA2401 to GA2404, GA2407.</exception>
    public static (int Modules, long ParameterCount, bool ChangesNothing) Summarise(string folder)
    {
        var configuration = Configuration(folder);
        using var file = OpenWeights(folder);
        var keys = AdapterKeys.Of(file.Path, file.Names, configuration);
        string[] modules = [.. keys.Modules];
        string[] factors = [.. modules.SelectMany(module => new[] { keys.Find(module, 'A'), keys.Find(module, 'B') }).OfType<string>()];
        return (
            modules.Length,
            factors.Sum(name => file.Entry(name).Shape.Aggregate(1L, (product, size) => product * size)),
            configuration.SavedModules.Count == 0 && modules.All(module =>
            {
                using var scope = NewDisposeScope();
                return keys.Find(module, 'B') is not { } name || !file.Read(name).any().item<bool>();
            }));
    }

    /// <summary>Loads an adapter for a model.</summary>
    /// <param name="folder">The folder that peft wrote.</param>
    /// <param name="model">The model that it was trained on, loaded with <see cref="ModelOptions.SavedModules"/> where the adapter has any.</param>
    /// <returns>In the model's forward order, float32, on the model's device. The caller owns it.</returns>
    /// <exception cref="AdapterException">GA2401 to GA2407.</exception>
    /// <exception cref="CheckpointException">GA2301 to GA2304: the weights are no safetensors file.</exception>
    public static LoraAdapter Load(string folder, CausalLanguageModel model)
    {
        var configuration = Configuration(folder);
        using var file = OpenWeights(folder);
        var keys = AdapterKeys.Of(file.Path, file.Names, configuration);
        CheckSavedModules(file, keys, model);
        var naming = keys.NamingOf(model);
        var targets = TargetsOf(configuration, model, folder, naming);
        var left = keys.Modules.ToHashSet(StringComparer.Ordinal);
        var modules = new List<LoraModule>();
        try
        {
            foreach (var module in targets)
            {
                var (name, rank) = (naming(module.Name), configuration.RankOf(naming(module.Name)));
                var a = Read(file, keys.Find(name, 'A') ?? throw Lacks(file, name, 'A'), [rank, module.InputSize], model.Device);
                modules.Add(new(module.Name, a, a, 0));
                var b = Read(file, keys.Find(name, 'B') ?? throw Lacks(file, name, 'B'), [module.OutputSize, rank], model.Device);
                modules[^1] = new(module.Name, a, b, configuration.ScaleOf(name));
                left.Remove(name);
            }

            return left.Count == 0
                ? new LoraAdapter(modules)
                : throw OtherModel(file.Path, $"holds factors of {List([.. left.Order(StringComparer.Ordinal)])}, which the model or the adapter's targets do not have");
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
    /// <param name="savedModulesFrom">The adapter folder that modules trained whole are copied from; where null, none are written.</param>
    /// <param name="provenance">Where it comes from, for <c>__metadata__</c> of the weights; null: nothing is added.</param>
    /// <exception cref="ArgumentException">Configuration and adapter say different things.</exception>
    public static void Save(string folder, LoraAdapter adapter, PeftConfiguration configuration, string? savedModulesFrom = null, IReadOnlyDictionary<string, string>? provenance = null)
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
        using var scope = NewDisposeScope();
        var tensors = adapter.Modules
            .SelectMany(module => ((string, Tensor)[])[(AdapterKeys.NameOf(module.ModuleName, 'A'), module.A), (AdapterKeys.NameOf(module.ModuleName, 'B'), module.B)])
            .ToList();
        if (savedModulesFrom is null)
        {
            configuration = configuration with { SavedModules = [] };
        }
        else if (configuration.SavedModules.Count > 0)
        {
            using var origin = OpenWeights(savedModulesFrom);
            tensors.AddRange(AdapterKeys.Of(origin.Path, origin.Names, configuration).SavedWeights.Values.Select(name => (name, origin.ReadRaw(name))));
        }

        SafetensorsWriter.Write(Path.Combine(folder, WeightsFile), tensors, new Dictionary<string, string>(provenance ?? new Dictionary<string, string>(StringComparer.Ordinal), StringComparer.Ordinal) { ["format"] = "pt" });
        var path = Path.Combine(folder, ConfigurationFile);
        var beside = $"{path}.{Environment.ProcessId}.tmp";
        File.WriteAllBytes(beside, PeftConfigurationFile.Write(configuration));
        File.Move(beside, path, overwrite: true);
    }

    /// <summary>The weights of an adapter.</summary>
    /// <exception cref="AdapterException">GA2401: there are none.</exception>
    internal static SafetensorsFile OpenWeights(string folder)
    {
        var path = Path.Combine(folder, WeightsFile);
        return File.Exists(path)
            ? SafetensorsFile.Open(path)
            : throw new AdapterException(
                "GA2401", folder, $"has no {WeightsFile}",
                File.Exists(Path.Combine(folder, "adapter_model.bin")) ? "It has pickled weights, which can run code: save it again with safe_serialization." : "Name the folder that peft wrote.");
    }

    /// <summary>The modules of a model that a configuration targets, in forward order.</summary>
    /// <exception cref="AdapterException">GA2403: the head or the embedding is a target. GA2406: no module is.</exception>
    internal static IReadOnlyList<LinearModule> TargetsOf(PeftConfiguration configuration, CausalLanguageModel model, string location, Func<string, string>? naming = null)
    {
        foreach (var outside in configuration.TargetModules.Where(name => name.Split('.')[^1] is "lm_head" or "embed_out" or "embed_tokens" or "wte" or "wpe" or "embed_in"))
        {
            throw new AdapterException(
                "GA2403", location, $"the adapter targets {outside}, and only linear modules of the blocks are supported", "Train a LoRA adapter of the blocks, or merge this one into its model and audit that.");
        }

        List<LinearModule> targets = [.. model.LinearModules.Where(module => configuration.Targets(naming?.Invoke(module.Name) ?? module.Name))];
        return targets.Count > 0
            ? targets
            : throw AdapterException.NoTarget(location, configuration, model.Architecture, model.LinearModules.Select(module => module.Name));
    }

    // Factors beside modules that were trained with them and are not there would be another model, silently.
    private static void CheckSavedModules(SafetensorsFile file, AdapterKeys keys, CausalLanguageModel model)
    {
        foreach (var (name, stored) in keys.SavedWeights)
        {
            using var scope = NewDisposeScope();
            var own = model.FindWeight(name);
            if (own is null || !own.shape.SequenceEqual(file.Entry(stored).Shape) || !own.equal(file.Read(stored).to(own.device)).all().item<bool>())
            {
                throw new AdapterException(
                    "GA2408", file.Path, $"was trained together with {name}, and the model has another", "Load the model with the adapter's saved modules (ModelOptions.SavedModules), or name the adapter's own model.");
            }
        }
    }

    private static Tensor Read(SafetensorsFile file, string key, long[] shape, Device device)
    {
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

    private static AdapterException Lacks(SafetensorsFile file, string module, char factor) => OtherModel(file.Path, $"lacks {AdapterKeys.NameOf(module, factor)}");

    private static AdapterException OtherModel(string path, string problem) => new("GA2404", path, problem, "It is an adapter of another model, or incomplete: name the adapter's own model.");

    private static string List(List<string> names) =>
        names.Count <= MostNamed ? string.Join(", ", names) : $"{string.Join(", ", names.Take(MostNamed))} and {names.Count - MostNamed} more";
}
