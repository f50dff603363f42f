using System.Text.Json;
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

    /// <summary>Names of modules that are left out although they are targets.</summary>
    public IReadOnlyList<string> ExcludedModules { get; init; } = [];

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
    public bool Targets(string moduleName)
    {
        if (ExcludedModules.Any(name => IsOrEndsWith(moduleName, name)))
        {
            return false;
        }

        if (TargetPattern is { } pattern)
        {
            return pattern == AllLinear ? InLayers(moduleName) : Matches($"^(?:{pattern})$", moduleName);
        }

        return TargetModules.Contains(moduleName, StringComparer.Ordinal) || (TargetModules.Any(name => IsOrEndsWith(moduleName, name)) && InLayers(moduleName));
    }

    /// <summary>The rank of a module.</summary>
    public int RankOf(string moduleName) => First(RankPattern, moduleName) ?? Rank;

    /// <summary>The scale s of a module.</summary>
    public double ScaleOf(string moduleName)
    {
        var (rank, alpha) = (RankOf(moduleName), First(AlphaPattern, moduleName) ?? Alpha);
        return alpha / (UseRsLora ? Math.Sqrt(rank) : rank);
    }

    // The number of the block is the last one in the name, as peft finds it without a layers_pattern.
    private bool InLayers(string moduleName)
    {
        if (LayersToTransform is not { Count: > 0 } layers)
        {
            return true;
        }

        var match = Regex.Match(moduleName, @"^.*\.[^.]*\.(?<layer>[0-9]+)\.", RegexOptions.ExplicitCapture, LongestMatch);
        return match.Success && layers.Contains(int.Parse(match.Groups["layer"].ValueSpan, System.Globalization.CultureInfo.InvariantCulture));
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

    private static bool Matches(string pattern, string moduleName)
    {
        try
        {
            return Regex.IsMatch(moduleName, pattern, RegexOptions.CultureInvariant, LongestMatch);
        }
        catch (Exception exception) when (exception is ArgumentException or RegexMatchTimeoutException)
        {
            throw new AdapterException("GA2402", "adapter_config.json", $"the pattern {pattern} cannot be used ({exception.Message})", "Name the modules in a list.", exception);
        }
    }
}

/// <summary>Reads and writes <c>adapter_config.json</c>.</summary>
internal static class PeftConfigurationFile
{
    // What changes the forward pass in a way that we do not compute. Absent, null, false, empty and these defaults are fine.
    private static readonly (string Key, string What)[] Refused =
    [
        ("use_dora", "DoRA"), ("use_qalora", "QA-LoRA"), ("use_bdlora", "block-diagonal LoRA"), ("lora_bias", "LoRA biases"), ("modules_to_save", "saved modules"),
        ("trainable_token_indices", "trained token embeddings"), ("target_parameters", "target_parameters"), ("layer_replication", "replicated layers"),
        ("alora_invocation_tokens", "activated LoRA"), ("arrow_config", "Arrow routing"), ("megatron_config", "Megatron layers"),
        ("kasa_config", "KaSA"), ("velora_config", "VeLoRA"), ("monteclora_config", "MonteCLoRA"),
    ];

    public static PeftConfiguration Read(string path)
    {
        JsonElement root;
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path), new JsonDocumentOptions { AllowDuplicateProperties = false });
            root = document.RootElement.Clone();
        }
        catch (Exception exception) when (exception is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new AdapterException("GA2401", path, $"cannot be read ({exception.Message})", "Name the folder that peft wrote: it holds adapter_config.json and adapter_model.safetensors.", exception);
        }

        try
        {
            return Parse(root, path);
        }
        catch (Exception exception) when (exception is InvalidOperationException or FormatException or OverflowException)
        {
            throw new AdapterException("GA2402", path, $"a value is of a wrong type ({exception.Message})", "Write the adapter again.", exception);
        }
    }

    /// <summary>Every key that peft 0.21 writes, so that peft reads it back.</summary>
    public static byte[] Write(PeftConfiguration configuration)
    {
        var all = new SortedDictionary<string, object?>(StringComparer.Ordinal)
        {
            ["alora_invocation_tokens"] = null,
            ["alpha_pattern"] = configuration.AlphaPattern,
            ["arrow_config"] = null,
            ["auto_mapping"] = null,
            ["base_model_name_or_path"] = configuration.BaseModel,
            ["bias"] = "none",
            ["corda_config"] = null,
            ["ensure_weight_tying"] = false,
            ["eva_config"] = null,
            ["exclude_modules"] = configuration.ExcludedModules.Count > 0 ? configuration.ExcludedModules : null,
            ["fan_in_fan_out"] = configuration.FanInFanOut,
            ["inference_mode"] = true,
            ["init_lora_weights"] = true,
            ["kasa_config"] = null,
            ["layer_replication"] = null,
            ["layers_pattern"] = null,
            ["layers_to_transform"] = configuration.LayersToTransform,
            ["loftq_config"] = new Dictionary<string, object>(StringComparer.Ordinal),
            ["lora_alpha"] = configuration.Alpha,
            ["lora_bias"] = false,
            ["lora_dropout"] = 0.0,
            ["lora_ga_config"] = null,
            ["megatron_config"] = null,
            ["megatron_core"] = "megatron.core",
            ["modules_to_save"] = null,
            ["monteclora_config"] = null,
            ["peft_type"] = "LORA",
            ["peft_version"] = "0.21.2",
            ["qalora_group_size"] = 16,
            ["r"] = configuration.Rank,
            ["rank_pattern"] = configuration.RankPattern,
            ["revision"] = null,
            ["target_modules"] = configuration.TargetPattern ?? (object)configuration.TargetModules.Order(StringComparer.Ordinal),
            ["target_parameters"] = null,
            ["task_type"] = "CAUSAL_LM",
            ["trainable_token_indices"] = null,
            ["use_bdlora"] = null,
            ["use_dora"] = false,
            ["use_qalora"] = false,
            ["use_rslora"] = configuration.UseRsLora,
            ["velora_config"] = null,
        };
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            json.WriteStartObject();
            foreach (var (key, value) in all)
            {
                json.WritePropertyName(key);
                WriteValue(json, value);
            }

            json.WriteEndObject();
        }

        return buffer.ToArray();
    }

    private static void WriteValue(Utf8JsonWriter json, object? value)
    {
        switch (value)
        {
            case IReadOnlyList<KeyValuePair<string, int>> ranks:
                WritePatterns(json, ranks.Select(item => KeyValuePair.Create(item.Key, (double)item.Value)));
                break;
            case IReadOnlyList<KeyValuePair<string, double>> alphas:
                WritePatterns(json, alphas);
                break;
            case double number:
                json.WriteNumberValue(number);
                break;
            default:
                JsonSerializer.Serialize(json, value);
                break;
        }
    }

    // In their order: the first pattern that matches wins.
    private static void WritePatterns(Utf8JsonWriter json, IEnumerable<KeyValuePair<string, double>> patterns)
    {
        json.WriteStartObject();
        foreach (var (key, value) in patterns)
        {
            json.WriteNumber(key, value);
        }

        json.WriteEndObject();
    }

    private static PeftConfiguration Parse(JsonElement root, string path)
    {
        if (root.ValueKind != JsonValueKind.Object)
        {
            throw new AdapterException("GA2401", path, "is no JSON object", "Name the folder that peft wrote.");
        }

        JsonElement? Find(string key) => root.TryGetProperty(key, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;
        AdapterException Unsupported(string what) => new("GA2403", path, $"the adapter uses {what}, which is not supported", "Train a plain LoRA adapter, or merge this one into its model and audit that.");
        AdapterException Wrong(string key, string expected) => new("GA2402", path, $"{key} should be {expected} and is {Find(key)?.GetRawText() ?? "absent"}", "Write the adapter again.");

        if (Find("peft_type")?.GetString() is var kind && kind != "LORA")
        {
            throw Unsupported($"peft_type {kind}");
        }

        if (Find("bias")?.GetString() is { } bias and not "none")
        {
            throw Unsupported($"bias {bias}");
        }

        foreach (var (key, what) in Refused)
        {
            if (Find(key) is { } value && value.ValueKind switch { JsonValueKind.False => false, JsonValueKind.Array => value.GetArrayLength() > 0, JsonValueKind.Object => value.EnumerateObject().Any(), _ => true })
            {
                throw Unsupported(what);
            }
        }

        if (Find("layers_pattern") is { } layersPattern && layersPattern.GetRawText() is not "[]" and not "\"\"")
        {
            throw Unsupported("layers_pattern");
        }

        var rank = Find("r") is { } r && r.TryGetInt32(out var found) && found > 0 ? found : throw Wrong("r", "a positive whole number");
        var alpha = Find("lora_alpha") is { ValueKind: JsonValueKind.Number } stated && double.IsFinite(stated.GetDouble()) ? stated.GetDouble() : throw Wrong("lora_alpha", "a number");
        var targets = Find("target_modules") ?? throw Wrong("target_modules", "module names");
        List<string> Strings(string key) => Find(key) is { } value
            ? value.ValueKind == JsonValueKind.String ? throw Unsupported($"a pattern in {key}") : [.. value.EnumerateArray().Select(item => item.GetString() ?? throw Wrong(key, "module names"))]
            : [];
        return new()
        {
            Rank = rank,
            Alpha = alpha,
            TargetPattern = targets.ValueKind == JsonValueKind.String ? targets.GetString() : null,
            TargetModules = targets.ValueKind == JsonValueKind.String ? [] : Strings("target_modules"),
            ExcludedModules = Strings("exclude_modules"),
            RankPattern = [.. Find("rank_pattern")?.EnumerateObject().Select(item => KeyValuePair.Create(item.Name, item.Value.GetInt32() is > 0 and var own ? own : throw Wrong("rank_pattern", "positive ranks"))) ?? []],
            AlphaPattern = [.. Find("alpha_pattern")?.EnumerateObject().Select(item => KeyValuePair.Create(item.Name, item.Value.GetDouble())) ?? []],
            UseRsLora = Find("use_rslora")?.GetBoolean() ?? false,
            FanInFanOut = Find("fan_in_fan_out")?.GetBoolean() ?? false,
            LayersToTransform = Find("layers_to_transform") switch
            {
                null => null,
                { ValueKind: JsonValueKind.Array } layers => [.. layers.EnumerateArray().Select(layer => layer.GetInt32())],
                { } layer => [layer.GetInt32()],
            },
            BaseModel = Find("base_model_name_or_path")?.GetString(),
        };
    }
}
