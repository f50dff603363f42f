using System.Globalization;
using System.Text.Json.Nodes;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Checkpoints;

/// <summary>Writes a GGUF file from a model folder as llama.cpp's converter does: names, metadata, changed weights. llama.cpp runs these files (<see cref="LlamaCppTests"/>).</summary>
internal static class GgufConversion
{
    /// <summary>What GGUF files of these families cannot say is what their published models have.</summary>
    public static void Adapt(string family, JsonObject config)
    {
        if (family.StartsWith("gemma", StringComparison.Ordinal))
        {
            config["query_pre_attn_scalar"] = 8;
            config.Remove("sliding_window_pattern");
            config["num_hidden_layers"] = 7;
        }

        if (family == "qwen2")
        {
            config["use_sliding_window"] = false;
        }

        if (family == "mistral")
        {
            config["sliding_window"] = null;
        }
    }

    /// <summary>Writes the GGUF file of a model folder.</summary>
    public static void Convert(string family, string from, string to, Action<GgufWriter>? more = null)
    {
        using var scope = NewDisposeScope();
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(from, "config.json")))!.AsObject();
        var type = (string)config["model_type"]!;
        var architecture = type switch { "gemma3_text" => "gemma3", "gpt_neox" => "gptneox", "mistral" => "llama", _ => type };
        int? Whole(params string[] keys) => keys.Select(key => (int?)config[key]).FirstOrDefault(value => value is not null);
        var heads = Whole("num_attention_heads", "n_head")!.Value;
        var hidden = Whole("hidden_size", "n_embd")!.Value;
        var headSize = Whole("head_dim") ?? hidden / heads;
        var writer = new GgufWriter().With("general.architecture", architecture);
        void Key(string key, object? value)
        {
            if (value is not null)
            {
                writer.With($"{architecture}.{key}", value);
            }
        }

        // No text is turned into tokens here.
        writer.With("tokenizer.ggml.model", "none");
        Key("vocab_size", Whole("vocab_size"));
        Key("block_count", Whole("num_hidden_layers", "n_layer"));
        Key("context_length", Whole("max_position_embeddings", "n_positions"));
        Key("embedding_length", hidden);
        Key("feed_forward_length", Whole("intermediate_size", "n_inner"));
        Key("attention.head_count", heads);
        if (type is not ("gpt2" or "gpt_neox"))
        {
            Key("attention.head_count_kv", Whole("num_key_value_heads"));
            Key("attention.layer_norm_rms_epsilon", type is "phi3" or "olmo2" ? 1e-5f : 1e-6f);
            Key("rope.freq_base", type == "gemma3_text" ? 50_000f : 10_000f);
            Key("rope.dimension_count", type == "phi3" ? 4 : headSize);
            if (type != "phi3")
            {
                Key("attention.key_length", headSize);
                Key("attention.value_length", headSize);
            }
        }
        else
        {
            Key("attention.layer_norm_epsilon", 1e-5f);
            Key("rope.dimension_count", type == "gpt_neox" ? 2 : null);
            Key("use_parallel_residual", type == "gpt_neox" ? (bool?)config["use_parallel_residual"] ?? true : null);
        }

        Key("attention.sliding_window", type is "gemma2" or "gemma3_text" or "phi3" ? Whole("sliding_window") : null);
        Key("attn_logit_softcapping", type == "gemma2" ? 3f : null);
        Key("final_logit_softcapping", type == "gemma2" ? 4f : null);
        Key("rope.scaling.type", family switch { "llama linear" or "gemma3" => "linear", "llama yarn" => "yarn", _ => null });
        Key("rope.scaling.factor", family switch { "llama linear" => 3f, "gemma3" => 2f, "llama yarn" => 4f, _ => null });
        Key("rope.scaling.original_context_length", family == "llama yarn" ? 16 : Whole("original_max_position_embeddings"));
        if (family == "phi3 longrope")
        {
            var (context, original) = (Whole("max_position_embeddings")!.Value, Whole("original_max_position_embeddings")!.Value);
            Key("rope.scaling.attn_factor", (float)Math.Sqrt(1 + (Math.Log((double)context / original) / Math.Log(original))));
            Factors("rope_factors_short.weight", [.. config["rope_scaling"]!["short_factor"]!.AsArray().Select(value => (float)value!)]);
            Factors("rope_factors_long.weight", [.. config["rope_scaling"]!["long_factor"]!.AsArray().Select(value => (float)value!)]);
        }

        if (family == "llama llama3")
        {
            // The converter divides: what the scaling keeps by 1, what it stretches by the factor, what lies between by the blend.
            Factors("rope_freqs.weight", [.. Enumerable.Range(0, headSize / 2).Select(i => (float)Llama3Divisor(2 * Math.PI * Math.Pow(10_000, 2.0 * i / headSize)))]);
        }

        void Factors(string name, float[] values) => writer.Tensor(name, [values.Length], 0, [.. values.SelectMany(BitConverter.GetBytes)]);

        // As TinyModels has it: factor 4, from 1 to 4 turns in 16 tokens.
        static double Llama3Divisor(double wavelength)
        {
            if (wavelength < 16.0 / 4)
            {
                return 1;
            }

            var smooth = ((16 / wavelength) - 1) / (4 - 1);
            return wavelength > 16.0 / 1 ? 4 : 1 / (((1 - smooth) / 4) + smooth);
        }

        more?.Invoke(writer);

        using var file = SafetensorsFile.Open(Path.Combine(from, "model.safetensors"));
        foreach (var name in file.Names)
        {
            var values = Changed(architecture, name, file.Read(name), heads, Whole("num_key_value_heads") ?? heads);
            writer.Tensor(GgufName(architecture, name), values.shape, 0, values.contiguous().bytes.ToArray());
        }

        writer.Write(to);
    }

    // As llama.cpp's converter changes them.
    private static Tensor Changed(string architecture, string name, Tensor values, int heads, int keyValueHeads)
    {
        if (architecture == "llama" && (name.Contains("q_proj", StringComparison.Ordinal) || name.Contains("k_proj", StringComparison.Ordinal)))
        {
            var count = name.Contains("q_proj", StringComparison.Ordinal) ? heads : keyValueHeads;
            return values.view(count, 2, values.shape[0] / count / 2, -1).transpose(1, 2).reshape(values.shape);
        }

        if (architecture.StartsWith("gemma", StringComparison.Ordinal) && name.EndsWith("norm.weight", StringComparison.Ordinal))
        {
            return values + 1;
        }

        if (architecture == "gptneox" && name.Contains("query_key_value", StringComparison.Ordinal))
        {
            var byHead = values.view(heads, 3, values.shape[0] / heads / 3, -1);
            return cat([byHead.select(1, 0), byHead.select(1, 1), byHead.select(1, 2)], dim: 0).reshape(values.shape);
        }

        return architecture == "gpt2" && name.Contains(".h.", StringComparison.Ordinal) && values.dim() == 2 ? values.t() : values;
    }

    private static string GgufName(string architecture, string name)
    {
        string[] parts = name.Split('.');
        var kind = parts[^1];
        var layer = parts.FirstOrDefault(part => int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out _));
        var module = parts[^2];
        var isMlp = parts.Contains("mlp");
        var own = (architecture, module) switch
        {
            (_, "embed_tokens" or "wte" or "embed_in") => "token_embd",
            (_, "wpe") => "position_embd",
            (_, "norm" or "ln_f" or "final_layer_norm") => "output_norm",
            (_, "lm_head" or "embed_out") => "output",
            (_, "q_proj") => "attn_q",
            (_, "k_proj") => "attn_k",
            (_, "v_proj") => "attn_v",
            (_, "o_proj" or "dense") => "attn_output",
            (_, "q_norm") => "attn_q_norm",
            (_, "k_norm") => "attn_k_norm",
            (_, "qkv_proj" or "c_attn" or "query_key_value") => "attn_qkv",
            (_, "c_proj") => isMlp ? "ffn_down" : "attn_output",
            (_, "gate_proj") => "ffn_gate",
            (_, "up_proj" or "gate_up_proj" or "c_fc" or "dense_h_to_4h") => "ffn_up",
            (_, "down_proj" or "dense_4h_to_h") => "ffn_down",
            (_, "input_layernorm" or "ln_1") => "attn_norm",
            (_, "pre_feedforward_layernorm" or "ln_2") => "ffn_norm",
            (_, "post_feedforward_layernorm") => "post_ffw_norm",
            ("gemma2" or "gemma3" or "olmo2", "post_attention_layernorm") => "post_attention_norm",
            (_, "post_attention_layernorm") => "ffn_norm",
            _ => throw new InvalidOperationException(name),
        };
        return layer is null ? $"{own}.{kind}" : $"blk.{layer}.{own}.{kind}";
    }
}
