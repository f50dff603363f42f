using GradientAtoms.Models.Checkpoints;

namespace GradientAtoms.Models.Architectures;

/// <summary>Reads a llama's configuration from <c>config.json</c> (the keys of transformers 4 and 5) and from GGUF metadata.</summary>
internal static class LlamaConfigurationReader
{
    /// <summary>From <c>config.json</c>. What is absent has transformers' default.</summary>
    /// <exception cref="CheckpointException">GA2321, GA2323: a key is missing, of a wrong type, or says something that is not supported.</exception>
    public static LlamaConfiguration FromJson(ModelConfig config)
    {
        if (config.String("hidden_act") is { } activation and not ("silu" or "swish"))
        {
            throw config.Unsupported("hidden_act", activation, "silu");
        }

        if (config.Object("quantization_config") is not null)
        {
            throw config.Unsupported("quantization_config", "set", "unquantised safetensors and GGUF files");
        }

        // Version 5 puts everything rotary into one object; version 4 has the base at the top and the scaling in an object.
        var rope = config.Object("rope_parameters") ?? config.Object("rope_scaling");
        if ((rope?.Number("partial_rotary_factor") ?? config.Number("partial_rotary_factor")) is { } share and not 1)
        {
            throw config.Unsupported("partial_rotary_factor", share.ToString("R", System.Globalization.CultureInfo.InvariantCulture), "1");
        }

        var (hidden, heads) = (config.RequiredSize("hidden_size"), config.RequiredSize("num_attention_heads"));
        var configuration = new LlamaConfiguration
        {
            VocabularySize = config.RequiredSize("vocab_size"),
            HiddenSize = hidden,
            IntermediateSize = config.RequiredSize("intermediate_size"),
            LayerCount = config.RequiredSize("num_hidden_layers"),
            HeadCount = heads,
            KeyValueHeadCount = config.Size("num_key_value_heads") ?? heads,
            HeadSize = config.Size("head_dim") ?? Math.Max(1, hidden / heads),
            NormEpsilon = config.Number("rms_norm_eps") ?? 1e-6,
            RopeTheta = rope?.Number("rope_theta") ?? config.Number("rope_theta") ?? 10_000,
            RopeScaling = rope is null ? null : Scaling(rope, config),
            ContextLength = config.Size("max_position_embeddings") ?? 2048,
            TiedEmbeddings = config.Boolean("tie_word_embeddings") ?? false,
            AttentionBias = config.Boolean("attention_bias") ?? false,
            MlpBias = config.Boolean("mlp_bias") ?? false,
        };
        return Checked(configuration, config.Location);
    }

    /// <summary>From the metadata and tensors of a GGUF file.</summary>
    /// <exception cref="CheckpointException">GA2311, GA2321, GA2323: as above.</exception>
    public static LlamaConfiguration FromGguf(GgufFile file)
    {
        int? Size(string key) => file.Integer($"llama.{key}") switch
        {
            null => null,
            > 0 and <= int.MaxValue and var size => (int)size,
            var other => throw new CheckpointException("GA2321", file.Path, $"metadata llama.{key} is {other}", "The file is damaged: fetch it again."),
        };
        int Required(string key) => Size(key) ?? throw new CheckpointException("GA2321", file.Path, $"lacks metadata llama.{key}", "The file is incomplete: convert the model again.");
        if (file.Integer("llama.expert_count") is > 0 and var experts)
        {
            throw new CheckpointException("GA2323", file.Path, $"is a mixture of {experts} experts; dense models are known", "This model cannot be audited yet.");
        }

        var (hidden, heads) = (Required("embedding_length"), Required("attention.head_count"));
        var headSize = Size("attention.key_length") ?? Size("rope.dimension_count") ?? Math.Max(1, hidden / heads);
        if (Size("rope.dimension_count") is { } rotary && rotary != headSize)
        {
            throw new CheckpointException("GA2323", file.Path, $"turns {rotary} of {headSize} coordinates by position; all are known", "This model cannot be audited yet.");
        }

        var configuration = new LlamaConfiguration
        {
            VocabularySize = (int)file.Tensor("token_embd.weight").Shape[0],
            HiddenSize = hidden,
            IntermediateSize = Required("feed_forward_length"),
            LayerCount = Required("block_count"),
            HeadCount = heads,
            KeyValueHeadCount = Size("attention.head_count_kv") ?? heads,
            HeadSize = headSize,
            NormEpsilon = file.Number("llama.attention.layer_norm_rms_epsilon")
                ?? throw new CheckpointException("GA2321", file.Path, "lacks metadata llama.attention.layer_norm_rms_epsilon", "The file is incomplete: convert the model again."),
            RopeTheta = file.Number("llama.rope.freq_base") ?? 10_000,
            RopeScaling = Scaling(file),
            ContextLength = Size("context_length") ?? 2048,
            TiedEmbeddings = !file.Contains("output.weight"),
            AttentionBias = file.Contains("blk.0.attn_q.bias"),
            MlpBias = file.Contains("blk.0.ffn_gate.bias"),
        };
        return Checked(configuration, file.Path);
    }

    private static RopeScaling? Scaling(ModelConfig rope, ModelConfig config)
    {
        double Required(string key) => rope.Number(key) is { } value and > 0 ? value : throw rope.Missing(key);
        return (rope.String("rope_type") ?? rope.String("type") ?? "default") switch
        {
            "default" => null,
            "linear" => new RopeScaling("linear", Required("factor")),
            "llama3" => new RopeScaling("llama3", Required("factor"))
            {
                LowFrequencyFactor = Required("low_freq_factor"),
                HighFrequencyFactor = Required("high_freq_factor"),
                OriginalContextLength = rope.Size("original_max_position_embeddings") ?? config.Size("original_max_position_embeddings") ?? throw rope.Missing("original_max_position_embeddings"),
            },
            var other => throw rope.Unsupported("rope_type", other, "default, linear and llama3"),
        };
    }

    private static RopeScaling? Scaling(GgufFile file)
    {
        if (file.Contains(GgufCheckpoint.RopeFactors))
        {
            using var divisors = file.Read(GgufCheckpoint.RopeFactors);
            return new RopeScaling("divisors", 1) { Divisors = [.. divisors.data<float>().ToArray().Select(value => (double)value)] };
        }

        return (file.String("llama.rope.scaling.type") ?? "none") switch
        {
            "none" => null,
            "linear" => new RopeScaling("linear", file.Number("llama.rope.scaling.factor") ?? 1),
            var other => throw new CheckpointException("GA2323", file.Path, $"scales rotary positions by {other}; known are none, linear and llama3", "This model cannot be audited yet."),
        };
    }

    private static LlamaConfiguration Checked(LlamaConfiguration c, string location)
    {
        var problem =
            c.HeadCount % c.KeyValueHeadCount != 0 ? $"{c.HeadCount} heads share {c.KeyValueHeadCount} key and value heads, which do not divide them"
            : c.HeadSize % 2 != 0 ? $"heads of {c.HeadSize} coordinates cannot be turned in pairs"
            : (long)c.HeadCount * c.HeadSize > int.MaxValue ? $"{c.HeadCount} heads of {c.HeadSize} coordinates"
            : c.NormEpsilon < 0 || c.RopeTheta <= 0 ? "the norm's epsilon or the rotary base is negative"
            : c.RopeScaling?.Divisors is { } divisors && (divisors.Count != c.HeadSize / 2 || divisors.Any(divisor => !(divisor > 0))) ? $"{divisors.Count} rotary divisors for heads of {c.HeadSize} coordinates, or one that is not positive"
            : null;
        return problem is null ? c : throw new CheckpointException("GA2321", location, problem, "The configuration is damaged: fetch it again.");
    }
}
