using System.Globalization;
using System.Text.RegularExpressions;

namespace GradientAtoms.Models.Adapters;

/// <summary>What <c>adapter_config.json</c> says of a LoRA adapter. Names are peft's.</summary>
public sealed record PeftConfiguration
{
    /// <summary>peft's word for every linear module of the blocks.</summary>
    public const string AllLinear = "all-linear";

    private static readonly TimeSpan LongestMatch = TimeSpan.FromSeconds(1);

    /// <summary>Rank of modules that no pattern names.</summary>
    public int Rank { get; init; } = 8;

    /// <summary>Alpha of modules that no pattern names: the change is alpha / r · B A.</summary>
    public double Alpha { get; init; } = 16;

    /// <summary>Names of modules (<c>q_proj</c>, or a whole path); empty where <see cref="TargetPattern"/> is set.</summary>
    public IReadOnlyList<string> TargetModules { get; init; } = [];

    /// <summary>A regular expression for whole module names, or <see cref="AllLinear"/>; null where the modules are listed.</summary>
    public string? TargetPattern { get; init; }

    /// <summary>Ranks of their own, first match wins: a key K is for modules that <c>^(.*\.)?(K)$</c> matches.</summary>
    public IReadOnlyList<KeyValuePair<string, int>> RankPattern { get; init; } = [];

    /// <summary>Alphas of their own, as <see cref="RankPattern"/>.</summary>
    public IReadOnlyList<KeyValuePair<string, double>> AlphaPattern { get; init; } = [];

    /// <summary>Whether the scale is alpha / √r instead of alpha / r.</summary>
    public bool UseRsLora { get; init; }

    /// <summary>Whether the model stores the adapted weights transposed, as GPT-2 does. It changes how peft merges; factors and forward pass are the same.</summary>
    public bool FanInFanOut { get; init; }

    /// <summary>Only these blocks, from 0; all of them where null.</summary>
    public IReadOnlyList<int>? LayersToTransform { get; init; }

    /// <summary>Names of the lists of blocks that <see cref="LayersToTransform"/> counts (<c>layers</c>, <c>h</c>), as regular expressions; any list where empty.</summary>
    public IReadOnlyList<string> LayersPatterns { get; init; } = [];

    /// <summary>Names of modules that are left out although they are targets.</summary>
    public IReadOnlyList<string> ExcludedModules { get; init; } = [];

    /// <summary>A regular expression for whole names of modules that are left out, or null.</summary>
    public string? ExcludedPattern { get; init; }

    /// <summary>Modules that were trained whole and are saved beside the factors (<c>modules_to_save</c>): they replace the model's, and are not analysed.</summary>
    public IReadOnlyList<string> SavedModules { get; init; } = [];

    /// <summary>The model that the adapter belongs to, as it was named when it was trained; or null.</summary>
    public string? BaseModel { get; init; }

    /// <summary>One rank and alpha for all modules.</summary>
    /// <param name="targets">Module names, or <see cref="AllLinear"/> alone.</param>
    /// <param name="rank">The rank r.</param>
    /// <param name="alpha">The scale is alpha / r.</param>
    public static PeftConfiguration Of(IReadOnlyList<string> targets, int rank, double alpha) => targets is [AllLinear]
        ? new() { TargetPattern = AllLinear, Rank = rank, Alpha = alpha }
        : new() { TargetModules = [.. targets], Rank = rank, Alpha = alpha };

    /// <summary>Whether the adapter changes a module.</summary>
    /// <param name="moduleName">As <see cref="Architectures.LinearModule.Name"/>.</param>
    /// <exception cref="AdapterException">GA2402: a pattern is no regular expression.</exception>
    public bool Targets(string moduleName)
    {
        if (ExcludedModules.Any(name => IsOrEndsWith(moduleName, name)) || (ExcludedPattern is { } excluded && Matches($"^(?:{excluded})$", moduleName)) || IsSaved(moduleName))
        {
            return false;
        }

        if (TargetPattern is { } pattern)
        {
            return pattern == AllLinear ? InLayers(moduleName) : Matches($"^(?:{pattern})$", moduleName);
        }

        return TargetModules.Contains(moduleName, StringComparer.Ordinal) || (TargetModules.Any(name => IsOrEndsWith(moduleName, name)) && InLayers(moduleName));
    }

    /// <summary>Whether a module was trained whole.</summary>
    /// <param name="moduleName">As <see cref="Architectures.LinearModule.Name"/>, or that of a norm, the embedding or the head.</param>
    public bool IsSaved(string moduleName) => SavedModules.Any(name => Matches($@"^(|.*\.){name}($|\..*)", moduleName));

    /// <summary>The rank of a module.</summary>
    public int RankOf(string moduleName) => First(RankPattern, moduleName) ?? Rank;

    /// <summary>The scale s of a module.</summary>
    public double ScaleOf(string moduleName)
    {
        var (rank, alpha) = (RankOf(moduleName), First(AlphaPattern, moduleName) ?? Alpha);
        return alpha / (UseRsLora ? Math.Sqrt(rank) : rank);
    }

    // Without names of lists, the number of the block is the last one in the module's name.
    private bool InLayers(string moduleName)
    {
        if (LayersToTransform is not { Count: > 0 } layers)
        {
            return true;
        }

        foreach (var list in LayersPatterns.Count > 0 ? LayersPatterns : [@"[^.]*"])
        {
            if (Match($@"^.*\.{list}\.([0-9]+)\.", moduleName) is { Success: true } match)
            {
                return int.TryParse(match.Groups[^1].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out var layer) && layers.Contains(layer);
            }
        }

        return false;
    }

    private static T? First<T>(IReadOnlyList<KeyValuePair<string, T>> patterns, string moduleName)
        where T : struct
    {
        foreach (var (key, value) in patterns)
        {
            if (Matches($@"^(.*\.)?({key})$", moduleName))
            {
                return value;
            }
        }

        return null;
    }

    private static bool IsOrEndsWith(string moduleName, string name) => moduleName == name || moduleName.EndsWith($".{name}", StringComparison.Ordinal);

    private static bool Matches(string pattern, string moduleName) => Match(pattern, moduleName).Success;

    private static Match Match(string pattern, string moduleName)
    {
        try
        {
            return Regex.Match(moduleName, pattern, RegexOptions.CultureInvariant, LongestMatch);
        }
        catch (Exception exception) when (exception is ArgumentException or RegexMatchTimeoutException)
        {
            throw new AdapterException("GA2402", "adapter_config.json", $"the pattern {pattern} cannot be used ({exception.Message})", "Name the modules in a list.", exception);
        }
    }
}
