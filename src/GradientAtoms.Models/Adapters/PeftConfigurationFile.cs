using System.Text.Json;

namespace GradientAtoms.Models.Adapters;

/// <summary>Reads and writes <c>adapter_config.json</c>.</summary>
internal static class PeftConfigurationFile
{
    // What changes the forward pass in a way that we do not compute. Absent, null, false and empty are fine.
    private static readonly Dictionary<string, string> Refused = new(StringComparer.Ordinal)
    {
        ["use_dora"] = "DoRA", ["use_qalora"] = "QA-LoRA", ["use_bdlora"] = "block-diagonal LoRA", ["lora_bias"] = "LoRA biases",
        ["trainable_token_indices"] = "trained token embeddings", ["target_parameters"] = "target_parameters", ["layer_replication"] = "replicated layers",
        ["alora_invocation_tokens"] = "activated LoRA", ["arrow_config"] = "Arrow routing", ["megatron_config"] = "Megatron layers",
        ["kasa_config"] = "KaSA", ["velora_config"] = "VeLoRA", ["monteclora_config"] = "MonteCLoRA",
    };

    // What we read, and what says how the adapter was made, not how it is applied.
    private static readonly HashSet<string> Known = new(StringComparer.Ordinal)
    {
        "auto_mapping", "base_model_name_or_path", "revision", "peft_type", "peft_version", "task_type", "inference_mode", "r", "lora_alpha", "lora_dropout", "target_modules",
        "exclude_modules", "bias", "fan_in_fan_out", "use_rslora", "modules_to_save", "init_lora_weights", "layers_to_transform", "layers_pattern", "rank_pattern", "alpha_pattern",
        "megatron_core", "loftq_config", "eva_config", "corda_config", "lora_ga_config", "qalora_group_size", "ensure_weight_tying", "runtime_config",
    };

    // These leave the model's weights as they are; PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA take their start out of the weights.
    private static readonly HashSet<string> HarmlessStarts = new(["gaussian", "eva", "orthogonal"], StringComparer.OrdinalIgnoreCase);

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
            ["exclude_modules"] = configuration.ExcludedPattern ?? (object?)(configuration.ExcludedModules.Count > 0 ? configuration.ExcludedModules : null),
            ["fan_in_fan_out"] = configuration.FanInFanOut,
            ["inference_mode"] = true,
            ["init_lora_weights"] = true,
            ["kasa_config"] = null,
            ["layer_replication"] = null,
            ["layers_pattern"] = configuration.LayersPatterns.Count > 0 ? configuration.LayersPatterns : null,
            ["layers_to_transform"] = configuration.LayersToTransform,
            ["loftq_config"] = new Dictionary<string, object>(StringComparer.Ordinal),
            ["lora_alpha"] = configuration.Alpha,
            ["lora_bias"] = false,
            ["lora_dropout"] = 0.0,
            ["lora_ga_config"] = null,
            ["megatron_config"] = null,
            ["megatron_core"] = "megatron.core",
            ["modules_to_save"] = configuration.SavedModules.Count > 0 ? configuration.SavedModules : null,
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
        AdapterException Wrong(string key, string expected) => new("GA2402", path, $"{key} should be {expected} and is {Find(key)?.GetRawText() ?? "absent"}", "Write the adapter again.");
        IReadOnlyList<string> Strings(string key) => Find(key) is { } value ? [.. value.EnumerateArray().Select(item => item.GetString() ?? throw Wrong(key, "names"))] : [];
        IReadOnlyList<string> StringOrStrings(string key) => Find(key) is { ValueKind: JsonValueKind.String } one ? one.GetString() is { Length: > 0 } text ? [text] : [] : Strings(key);

        RefuseWhatIsNotComputed(root, path);
        var rank = Find("r") is { } r && r.TryGetInt32(out var found) && found > 0 ? found : throw Wrong("r", "a positive whole number");
        var alpha = Find("lora_alpha") is { ValueKind: JsonValueKind.Number } stated && double.IsFinite(stated.GetDouble()) ? stated.GetDouble() : throw Wrong("lora_alpha", "a number");
        var targets = Find("target_modules") ?? throw Wrong("target_modules", "module names");
        var isPattern = targets.ValueKind == JsonValueKind.String;
        var isExcludedPattern = Find("exclude_modules")?.ValueKind == JsonValueKind.String;
        return new()
        {
            Rank = rank,
            Alpha = alpha,
            TargetPattern = isPattern ? targets.GetString() : null,
            TargetModules = isPattern ? [] : Strings("target_modules"),
            ExcludedPattern = isExcludedPattern ? Find("exclude_modules")?.GetString() : null,
            ExcludedModules = isExcludedPattern ? [] : Strings("exclude_modules"),
            SavedModules = Strings("modules_to_save"),
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
            LayersPatterns = StringOrStrings("layers_pattern"),
            BaseModel = Find("base_model_name_or_path")?.GetString(),
        };
    }

    private static void RefuseWhatIsNotComputed(JsonElement root, string path)
    {
        AdapterException Unsupported(string what) => new("GA2403", path, $"the adapter uses {what}, which is not supported", "Train a plain LoRA adapter, or merge this one into its model and audit that.");
        JsonElement? Find(string key) => root.TryGetProperty(key, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

        if (Find("peft_type")?.GetString() is var kind && kind != "LORA")
        {
            throw Unsupported($"peft_type {kind}");
        }

        if (Find("bias")?.GetString() is { } bias and not "none")
        {
            throw Unsupported($"bias {bias}");
        }

        if (Find("init_lora_weights") is { ValueKind: JsonValueKind.String } start && !HarmlessStarts.Contains(start.GetString()!))
        {
            throw Unsupported($"init_lora_weights {start.GetString()}, which changes the model's own weights");
        }

        foreach (var property in root.EnumerateObject().Where(property => !Known.Contains(property.Name)))
        {
            var isSaid = property.Value.ValueKind switch
            {
                JsonValueKind.Null or JsonValueKind.False => false,
                JsonValueKind.Array => property.Value.GetArrayLength() > 0,
                JsonValueKind.Object => property.Value.EnumerateObject().Any(),

                // Of a key that we do not know, a number is a size beside a switch that is off.
                JsonValueKind.Number => Refused.ContainsKey(property.Name),
                _ => true,
            };
            if (isSaid)
            {
                throw Unsupported(Refused.GetValueOrDefault(property.Name, $"the setting {property.Name}"));
            }
        }
    }
}
