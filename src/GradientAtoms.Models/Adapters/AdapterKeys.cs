using System.Text.RegularExpressions;
using GradientAtoms.Models.Architectures;

namespace GradientAtoms.Models.Adapters;

/// <summary>The names of the tensors in <c>adapter_model.safetensors</c>, taken apart.</summary>
internal sealed partial class AdapterKeys
{
    private const string Prefix = "base_model.model.";

    private readonly Dictionary<(string Module, char Factor), string> _factors = [];

    private AdapterKeys(Dictionary<string, string> saved) => SavedWeights = saved;

    /// <summary>Weights that were trained whole, by the model's name for them.</summary>
    public IReadOnlyDictionary<string, string> SavedWeights { get; }

    /// <summary>The modules that have factors, as the file names them.</summary>
    public IEnumerable<string> Modules => _factors.Keys.Select(key => key.Module).Distinct(StringComparer.Ordinal);

    /// <summary>Takes names apart.</summary>
    /// <param name="path">The file, for errors.</param>
    /// <param name="names">Every tensor's name.</param>
    /// <param name="configuration">Says which modules were saved whole.</param>
    /// <exception cref="AdapterException">GA2403: factors of a kind that is not computed. GA2404: a name that is no factor and no saved module. GA2407: several adapters.</exception>
    public static AdapterKeys Of(string path, IEnumerable<string> names, PeftConfiguration configuration)
    {
        var saved = new Dictionary<string, string>(StringComparer.Ordinal);
        var keys = new AdapterKeys(saved);
        var adapters = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var name in names)
        {
            if (FactorName().Match(name) is { Success: true } factor)
            {
                adapters.Add(factor.Groups["adapter"].Value);
                keys._factors.TryAdd((factor.Groups["module"].Value, factor.Groups["factor"].ValueSpan[0]), name);
            }
            else if (OtherFactorName().Match(name) is { Success: true } other)
            {
                throw new AdapterException(
                    "GA2403", path, $"holds {name}: {other.Groups["kind"].Value} is not supported", "Train a plain LoRA adapter of linear modules, or merge this one into its model and audit that.");
            }
            else if (name.StartsWith(Prefix, StringComparison.Ordinal) && name.LastIndexOf('.') > Prefix.Length && configuration.IsSaved(name[Prefix.Length..name.LastIndexOf('.')]))
            {
                saved[InTextModel(name[Prefix.Length..])] = name;
            }
            else
            {
                throw new AdapterException("GA2404", path, $"holds {name}, which is no factor of a LoRA adapter and no module that adapter_config.json says was saved", "Write the adapter again, or fetch it again.");
            }
        }

        return adapters.Count < 2
            ? keys
            : throw new AdapterException("GA2407", path, $"holds {adapters.Count} adapters: {string.Join(", ", adapters)}", "Save them one by one: save_pretrained(folder, selected_adapters=[name]).");
    }

    /// <summary>peft's name of a factor.</summary>
    public static string NameOf(string module, char factor) => $"{Prefix}{module}.lora_{factor}.weight";

    /// <summary>The file's name of a factor, or null.</summary>
    public string? Find(string module, char factor) => _factors.GetValueOrDefault((module, factor));

    /// <summary>
    /// How the file names the model's modules. A text model that was trained inside of a multimodal one is under
    /// <c>language_model.</c> or <c>model.language_model.</c> there.
    /// </summary>
    /// <returns>From a module's name to the file's.</returns>
    public Func<string, string> NamingOf(CausalLanguageModel model)
    {
        Func<string, string>[] namings = [name => name, name => $"language_model.{name}", InsideModel];
        var modules = Modules.ToHashSet(StringComparer.Ordinal);
        return Array.Find(namings, naming => modules.IsSubsetOf(model.LinearModules.Select(module => naming(module.Name)))) ?? namings[0];
    }

    private static string InsideModel(string name) => name.StartsWith("model.", StringComparison.Ordinal) ? $"model.language_model.{name["model.".Length..]}" : name;

    private static string InTextModel(string name)
    {
        const string outside = "language_model.", inside = "model.language_model.";
        return name.StartsWith(inside, StringComparison.Ordinal) ? $"model.{name[inside.Length..]}" : name.StartsWith(outside, StringComparison.Ordinal) ? name[outside.Length..] : name;
    }

    // peft leaves the adapter's own name out; some tools keep it.
    [GeneratedRegex(@"^base_model\.model\.(?<module>.+)\.lora_(?<factor>[AB])(\.(?<adapter>[^.]+))?\.weight$", RegexOptions.ExplicitCapture | RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex FactorName();

    [GeneratedRegex(@"\.(?<kind>lora_[A-Za-z_]+)(\.|$)", RegexOptions.ExplicitCapture | RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex OtherFactorName();
}
