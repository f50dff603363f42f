using System.Globalization;
using GradientAtoms.Models.Checkpoints;

namespace GradientAtoms.Models.Architectures;

/// <summary>
/// Reads what the configurations of the families have in common, from <c>config.json</c> in the key styles of transformers 4 and 5
/// and from GGUF metadata. What is absent has the family's default in transformers.
/// </summary>
internal static class ConfigurationReader
{
    /// <summary>From <c>config.json</c>; a family then sets what is its own.</summary>
    /// <param name="config">The file, or the part of it that describes the text model.</param>
    /// <param name="absent">The family's defaults; sizes that it gives as 0 are required.</param>
    /// <param name="activationKey">The key of the MLP's function.</param>
    /// <exception cref="CheckpointException">GA2321, GA2323: a key is missing, of a wrong type, or says something that is not supported.</exception>
    public static DecoderConfiguration FromJson(ModelConfig config, DecoderConfiguration absent, string activationKey = "hidden_act")
    {
        RefuseQuantised(config);
        int Size(string key, int otherwise) => otherwise == 0 ? config.RequiredSize(key) : config.Size(key) ?? otherwise;
        var (hidden, heads) = (Size("hidden_size", absent.HiddenSize), Size("num_attention_heads", absent.HeadCount));
        var context = config.Size("max_position_embeddings") ?? absent.ContextLength;
        var rope = Rope(config, null);
        return absent with
        {
            VocabularySize = Size("vocab_size", absent.VocabularySize),
            HiddenSize = hidden,
            IntermediateSize = Size("intermediate_size", absent.IntermediateSize),
            LayerCount = Size("num_hidden_layers", absent.LayerCount),
            HeadCount = heads,
            KeyValueHeadCount = config.Size("num_key_value_heads") ?? (absent.KeyValueHeadCount == 0 ? heads : absent.KeyValueHeadCount),
            HeadSize = config.Size("head_dim") ?? (absent.HeadSize == 0 ? Math.Max(1, hidden / heads) : absent.HeadSize),
            NormEpsilon = config.Number("rms_norm_eps") ?? absent.NormEpsilon,
            RopeTheta = Theta(config, rope, absent.RopeTheta),
            RopeScaling = Scaling(rope, config, context),
            ContextLength = context,
            TiedEmbeddings = config.Boolean("tie_word_embeddings") ?? absent.TiedEmbeddings,
            Activation = Activation.Read(config, activationKey, absent.Activation),
        };
    }

    /// <summary>A damaged configuration may ask for a billion of them.</summary>
    public const int MostLayers = 100_000;

    /// <summary>The defaults of a family whose sizes are all required.</summary>
    public static DecoderConfiguration Defaults { get; } = new()
    {
        VocabularySize = 0, HiddenSize = 0, IntermediateSize = 0, LayerCount = 0, HeadCount = 0, KeyValueHeadCount = 0, HeadSize = 0, NormEpsilon = 1e-6,
    };

    /// <summary>The object that describes rotary positions, of one kind of layer where each has its own; or null.</summary>
    public static ModelConfig? Rope(ModelConfig config, string? layerType)
    {
        // Version 5 puts everything rotary into one object; version 4 has the base at the top and the scaling in an object.
        var rope = config.Object("rope_parameters");
        return (layerType is null ? null : rope?.Object(layerType)) ?? rope ?? config.Object("rope_scaling");
    }

    /// <summary>The base of the rotary angles.</summary>
    public static double Theta(ModelConfig config, ModelConfig? rope, double otherwise) => rope?.Number("rope_theta") ?? config.Number("rope_theta") ?? otherwise;

    /// <summary>The scaling of rotary frequencies.</summary>
    /// <param name="rope">The object that says it, or null.</param>
    /// <param name="config">The whole.</param>
    /// <param name="context">The longest context.</param>
    public static RopeScaling? Scaling(ModelConfig? rope, ModelConfig config, int context)
    {
        if (rope is null)
        {
            return null;
        }

        double Required(string key) => rope.Number(key) is { } value and > 0 ? value : throw rope.Missing(key);
        var original = rope.Size("original_max_position_embeddings") ?? config.Size("original_max_position_embeddings");
        return (rope.String("rope_type") ?? rope.String("type") ?? "default") switch
        {
            "default" => null,
            "linear" => new RopeScaling(RopeScalingKind.Linear, Required("factor")),
            "dynamic" => new RopeScaling(RopeScalingKind.Dynamic, Required("factor")) { OriginalContextLength = context },
            "llama3" => new RopeScaling(RopeScalingKind.Llama3, Required("factor"))
            {
                LowFrequencyFactor = Required("low_freq_factor"),
                HighFrequencyFactor = Required("high_freq_factor"),
                OriginalContextLength = original ?? throw rope.Missing("original_max_position_embeddings"),
            },
            "longrope" or "su" => LongRope(rope, context, original ?? context),
            "yarn" when rope.Contains("short_factor") => LongRope(rope, context, original ?? context), // phi3's first name for it
            "yarn" => Yarn(rope, rope.Number("factor") ?? (original is { } before ? (double)context / before : Required("factor")), original ?? context),
            var other => throw rope.Unsupported("rope_type", other, "default, linear, dynamic, llama3, yarn and longrope"),
        };
    }

    /// <summary>YaRN's attention factor: 0.1·ln(factor) + 1, unless something else is said.</summary>
    public static double YarnAttentionFactor(double factor, double scale = 1) => factor <= 1 ? 1 : (0.1 * scale * Math.Log(factor)) + 1;

    /// <summary>LongRoPE's attention factor: √(1 + ln(factor) / ln(original context)).</summary>
    public static double LongRopeAttentionFactor(double factor, int original) => factor <= 1 || original <= 1 ? 1 : Math.Sqrt(1 + (Math.Log(factor) / Math.Log(original)));

    /// <summary>Of each block, whether <c>layer_types</c> calls it sliding; null where the key is absent.</summary>
    public static IReadOnlyList<bool>? SlidingLayers(ModelConfig config, int layerCount)
    {
        if (config.Strings("layer_types") is not { } types)
        {
            return null;
        }

        if (types.Count != layerCount)
        {
            throw new CheckpointException("GA2321", config.Location, $"layer_types has {types.Count} entries for {layerCount} layers", "Fetch the original config.json of the model.");
        }

        return [.. types.Select(type => type switch
        {
            "sliding_attention" => true,
            "full_attention" => false,
            _ => throw config.Unsupported("layer_types", type, "full_attention and sliding_attention"),
        })];
    }

    /// <summary>Refuses a part of the rotary coordinates where the family turns all.</summary>
    public static void RefusePartialRotary(ModelConfig config)
    {
        if ((Rope(config, null)?.Number("partial_rotary_factor") ?? config.Number("partial_rotary_factor")) is { } share and not 1)
        {
            throw config.Unsupported("partial_rotary_factor", share.ToString("R", CultureInfo.InvariantCulture), "1");
        }
    }

    /// <summary>Refuses a switch that is on.</summary>
    public static void RefuseTrue(ModelConfig config, params ReadOnlySpan<string> keys)
    {
        foreach (var key in keys)
        {
            if (config.Boolean(key) == true)
            {
                throw config.Unsupported(key, "true", "false");
            }
        }
    }

    /// <summary>From GGUF metadata; a family then sets what is its own.</summary>
    /// <exception cref="CheckpointException">GA2311, GA2321, GA2323: as above.</exception>
    public static DecoderConfiguration FromGguf(GgufMetadata metadata, Activation? activation = null)
    {
        if (metadata.Number("expert_count") is > 0 and var experts)
        {
            throw metadata.Unsupported($"is a mixture of {experts} experts; dense models are known");
        }

        var (hidden, heads) = (metadata.Required("embedding_length"), metadata.Required("attention.head_count"));
        var headSize = metadata.Size("attention.key_length") ?? metadata.Size("rope.dimension_count") ?? Math.Max(1, hidden / heads);
        if (metadata.Size("attention.value_length") is { } values && values != headSize)
        {
            throw metadata.Unsupported($"has keys of {headSize} and values of {values} coordinates; equal ones are known");
        }

        return new DecoderConfiguration
        {
            VocabularySize = (int)metadata.File.Tensor("token_embd.weight").Shape[0],
            HiddenSize = hidden,
            IntermediateSize = metadata.Required("feed_forward_length"),
            LayerCount = metadata.Required("block_count"),
            HeadCount = heads,
            KeyValueHeadCount = metadata.Size("attention.head_count_kv") ?? heads,
            HeadSize = headSize,
            NormEpsilon = metadata.Number("attention.layer_norm_rms_epsilon") ?? metadata.Number("attention.layer_norm_epsilon")
                ?? throw metadata.Missing("attention.layer_norm_rms_epsilon"),
            RopeTheta = metadata.Number("rope.freq_base") ?? 10_000,
            RopeScaling = Scaling(metadata),
            RotarySize = metadata.Size("rope.dimension_count") is { } rotary && rotary != headSize ? rotary : null,
            ContextLength = metadata.Size("context_length") ?? 2048,
            TiedEmbeddings = !metadata.File.Contains("output.weight"),
            Activation = activation ?? Activation.Silu,
        };
    }

    /// <summary>Refuses a part of the rotary coordinates where the family turns all.</summary>
    public static DecoderConfiguration FullRotary(DecoderConfiguration configuration, GgufMetadata metadata) => configuration.RotarySize is { } rotary
        ? throw metadata.Unsupported($"turns {rotary} of {configuration.HeadSize} coordinates by position; all are known")
        : configuration;

    /// <summary>Refuses sizes that do not go together.</summary>
    /// <exception cref="CheckpointException">GA2321.</exception>
    public static T Checked<T>(T configuration, string location)
        where T : DecoderConfiguration
    {
        var c = configuration;
        var rotary = c.RotarySize ?? c.HeadSize;
        var problem =
            c.LayerCount > MostLayers ? $"says that it has {c.LayerCount} layers"
            : c.HeadCount % c.KeyValueHeadCount != 0 ? $"{c.HeadCount} heads share {c.KeyValueHeadCount} key and value heads, which do not divide them"
            : rotary % 2 != 0 || rotary < 2 || rotary > c.HeadSize ? $"{rotary} of a head's {c.HeadSize} coordinates cannot be turned in pairs"
            : (long)c.HeadCount * c.HeadSize > int.MaxValue ? $"{c.HeadCount} heads of {c.HeadSize} coordinates"
            : c.NormEpsilon < 0 || c.RopeTheta <= 0 ? "the norm's epsilon or the rotary base is negative"
            : c.Windows.Count > 0 && c.Windows.Count != c.LayerCount ? $"{c.Windows.Count} windows for {c.LayerCount} layers"
            : c.RopeScaling is { Kind: RopeScalingKind.Divisors } scaling && !AreDivisors(scaling.Divisors, rotary)
                ? $"{scaling.Divisors.Count} rotary divisors for {rotary} turned coordinates, or one that is not positive"
            : c.RopeScaling is { Kind: RopeScalingKind.LongRope } longRope && !(AreDivisors(longRope.Divisors, rotary) && AreDivisors(longRope.LongDivisors, rotary))
                ? $"{longRope.Divisors.Count} short and {longRope.LongDivisors.Count} long rotary factors for {rotary} turned coordinates, or one that is not positive"
            : c.RopeScaling is { Kind: RopeScalingKind.Dynamic } && rotary < 4 ? $"dynamic rotary scaling of {rotary} coordinates"
            : null;
        return problem is null ? c : throw new CheckpointException("GA2321", location, problem, "The configuration is damaged: fetch it again.");
    }

    /// <summary>A window for every block for which <paramref name="isSliding"/> says so.</summary>
    public static IReadOnlyList<int?> Windows(int? window, int layerCount, Func<int, bool> isSliding) =>
        window is { } size && layerCount <= MostLayers ? [.. Enumerable.Range(0, layerCount).Select(layer => isSliding(layer) ? (int?)size : null)] : [];

    /// <summary>The windows of <c>sliding_window</c> (4096 where absent) in the layers that <c>layer_types</c>, else the family's own rule, says.</summary>
    public static IReadOnlyList<int?> Windows(ModelConfig config, int layerCount, Func<int, bool> isSliding)
    {
        var window = config.Contains("sliding_window") ? config.Size("sliding_window") : 4096;
        var sliding = SlidingLayers(config, layerCount);
        return Windows(window, layerCount, layer => sliding?[layer] ?? isSliding(layer));
    }

    /// <summary>The same for qwen: only with <c>use_sliding_window</c>, and from <c>max_window_layers</c> upwards.</summary>
    public static IReadOnlyList<int?> UpperWindows(ModelConfig config, int layerCount)
    {
        var firstSliding = config.Number("max_window_layers") ?? 28;
        return config.Boolean("use_sliding_window") == true ? Windows(config, layerCount, layer => layer >= firstSliding) : [];
    }

    private static void RefuseQuantised(ModelConfig config)
    {
        if (config.Object("quantization_config") is not null)
        {
            throw config.Unsupported("quantization_config", "set", "unquantised safetensors and GGUF files");
        }
    }

    private static bool AreDivisors(IReadOnlyList<double> divisors, int rotary) => divisors.Count == rotary / 2 && divisors.All(divisor => divisor > 0 && double.IsFinite(divisor));

    private static RopeScaling LongRope(ModelConfig rope, int context, int original)
    {
        var factor = rope.Positive("factor") ?? ((double)context / original);
        return new(RopeScalingKind.LongRope, factor)
        {
            OriginalContextLength = original,
            AttentionFactor = rope.Positive("attention_factor") ?? LongRopeAttentionFactor(factor, original),
            Divisors = rope.Numbers("short_factor") ?? throw rope.Missing("short_factor"),
            LongDivisors = rope.Numbers("long_factor") ?? throw rope.Missing("long_factor"),
        };
    }

    private static RopeScaling Yarn(ModelConfig rope, double factor, int original)
    {
        var (scale, scaleAll) = (rope.Number("mscale"), rope.Number("mscale_all_dim"));
        var usual = scale is { } one and not 0 && scaleAll is { } all and not 0
            ? YarnAttentionFactor(factor, one) / YarnAttentionFactor(factor, all)
            : YarnAttentionFactor(factor);
        return new(RopeScalingKind.Yarn, factor)
        {
            OriginalContextLength = original,
            AttentionFactor = rope.Number("attention_factor") ?? usual,
            BetaFast = rope.Number("beta_fast") is { } fast and > 0 ? fast : 32,
            BetaSlow = rope.Number("beta_slow") is { } slow and > 0 ? slow : 1,
            Truncate = rope.Boolean("truncate") ?? true,
        };
    }

    private static double[] Divisors(GgufFile file, string name)
    {
        using var divisors = file.Read(name);
        return [.. divisors.data<float>().ToArray().Select(value => (double)value)];
    }

    private static RopeScaling? Scaling(GgufMetadata metadata)
    {
        if (metadata.File.Contains(GgufNames.RopeFactors))
        {
            return new RopeScaling(RopeScalingKind.Divisors, 1) { Divisors = Divisors(metadata.File, GgufNames.RopeFactors) };
        }

        if (metadata.File.Contains(GgufNames.ShortRopeFactors) || metadata.File.Contains(GgufNames.LongRopeFactors))
        {
            return new RopeScaling(RopeScalingKind.LongRope, 1)
            {
                OriginalContextLength = metadata.Required("rope.scaling.original_context_length"),
                AttentionFactor = metadata.Number("rope.scaling.attn_factor") ?? 1,
                Divisors = Divisors(metadata.File, GgufNames.ShortRopeFactors),
                LongDivisors = Divisors(metadata.File, GgufNames.LongRopeFactors),
            };
        }

        var factor = metadata.Number("rope.scaling.factor") ?? 1;
        return (metadata.String("rope.scaling.type") ?? "none") switch
        {
            "none" => null,
            "linear" => new RopeScaling(RopeScalingKind.Linear, factor),
            "yarn" => new RopeScaling(RopeScalingKind.Yarn, factor)
            {
                OriginalContextLength = metadata.Size("rope.scaling.original_context_length") ?? metadata.Required("context_length"),
                AttentionFactor = (metadata.Number("rope.scaling.attn_factor") ?? 1) * YarnAttentionFactor(factor),
                BetaFast = metadata.Number("rope.scaling.yarn_beta_fast") ?? 32,
                BetaSlow = metadata.Number("rope.scaling.yarn_beta_slow") ?? 1,
            },
            var other => throw metadata.Unsupported($"scales rotary positions by {other}; known are none, linear, yarn, llama3 and longrope"),
        };
    }
}
