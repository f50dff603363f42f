using System.Text.Json.Nodes;
using GradientAtoms.Models;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Support;

/// <summary>A small random model of each architecture, with its peculiarities switched on, so that their tests need no fixtures.</summary>
internal static class TinyModels
{
    public const int VocabularySize = 61;

    /// <summary>The text part's configuration, by a name that begins with its architecture.</summary>
    private static readonly Dictionary<string, string> Own = new(StringComparer.Ordinal)
    {
        ["llama"] = """{"model_type":"llama","tie_word_embeddings":true,"attention_bias":true,"mlp_bias":true}""",
        ["llama linear"] = """{"model_type":"llama","rope_scaling":{"type":"linear","factor":3}}""",
        ["llama dynamic"] = """{"model_type":"llama","rope_scaling":{"type":"dynamic","factor":3}}""",
        ["llama yarn"] = """{"model_type":"llama","rope_parameters":{"rope_type":"yarn","factor":4,"original_max_position_embeddings":16,"rope_theta":10000}}""",
        ["llama llama3"] = """{"model_type":"llama","rope_scaling":{"rope_type":"llama3","factor":4,"low_freq_factor":1,"high_freq_factor":4,"original_max_position_embeddings":16}}""",
        ["mistral"] = """{"model_type":"mistral","sliding_window":4}""",
        ["qwen2"] = """{"model_type":"qwen2","tie_word_embeddings":true,"use_sliding_window":true,"sliding_window":5,"max_window_layers":1}""",
        ["qwen3"] = """{"model_type":"qwen3"}""",
        ["gemma2"] = """{"model_type":"gemma2","sliding_window":4,"attn_logit_softcapping":3,"final_logit_softcapping":4,"query_pre_attn_scalar":5}""",
        ["gemma3"] = """{"model_type":"gemma3_text","sliding_window":4,"sliding_window_pattern":2,"query_pre_attn_scalar":5,"rope_theta":50000,"rope_scaling":{"rope_type":"linear","factor":2}}""",
        ["phi3"] = """{"model_type":"phi3","sliding_window":6,"partial_rotary_factor":0.67}""",
        ["phi3 longrope"] = """{"model_type":"phi3","partial_rotary_factor":0.67,"rope_scaling":{"type":"longrope","short_factor":[1.05,1.4],"long_factor":[1.5,4.25]},"original_max_position_embeddings":32}""",
        ["gpt2"] = """{"model_type":"gpt2","vocab_size":61,"n_embd":24,"n_head":4,"n_layer":3,"n_inner":40,"n_positions":64}""",
        ["gpt2 scaled by layer"] = """{"model_type":"gpt2","vocab_size":61,"n_embd":24,"n_head":4,"n_layer":3,"n_positions":64,"scale_attn_by_inverse_layer_idx":true}""",
        ["gpt_neox"] = """{"model_type":"gpt_neox","hidden_act":"gelu","rotary_pct":0.34}""",
        ["gpt_neox one after the other"] = """{"model_type":"gpt_neox","hidden_act":"gelu","rotary_pct":0.34,"use_parallel_residual":false}""",
        ["olmo2"] = """{"model_type":"olmo2"}""",
    };

    public static TheoryData<string> All => [.. Own.Keys];

    public static JsonObject Config(string name)
    {
        var config = JsonNode.Parse(Own[name])!.AsObject();
        if (!name.StartsWith("gpt2", StringComparison.Ordinal))
        {
            foreach (var (key, value) in ((string, int)[])
            [
                ("vocab_size", VocabularySize), ("hidden_size", 24), ("intermediate_size", 40), ("num_hidden_layers", 3), ("num_attention_heads", 4), ("num_key_value_heads", 2), ("max_position_embeddings", 64),
            ])
            {
                config[key] = value;
            }

            if (!name.StartsWith("gpt_neox", StringComparison.Ordinal))
            {
                // Not hidden / heads, where the family allows that; phi3 has it from there.
                config["head_dim"] = name.StartsWith("phi3", StringComparison.Ordinal) ? 6 : 8;
            }
        }

        config["eos_token_id"] = 2;
        return config;
    }

    /// <summary>Writes a folder.</summary>
    /// <param name="folder">Made where it does not exist.</param>
    /// <param name="name">Of <see cref="All"/>.</param>
    /// <param name="weights">Changes the tensors.</param>
    /// <param name="change">Changes the configuration.</param>
    public static void Write(string folder, string name, Action<Dictionary<string, Tensor>>? weights = null, Action<JsonObject>? change = null)
    {
        using var scope = NewDisposeScope();
        Directory.CreateDirectory(folder);
        var config = Config(name);
        change?.Invoke(config);
        var path = Path.Combine(folder, "config.json");
        File.WriteAllText(path, config.ToJsonString());
        var tensors = Weights(name, WeightReader.Outline(ModelFactory.FromConfig(ModelConfig.Read(path))).Weights);
        weights?.Invoke(tensors);
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), tensors.Select(item => (item.Key, item.Value)));
    }

    /// <summary>The same random model every time.</summary>
    public static LoadedModel Load(string name)
    {
        var folder = Directory.CreateTempSubdirectory("gatoms-tiny-").FullName;
        try
        {
            Write(folder, name);
            return LoadedModel.Load(folder);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static Dictionary<string, Tensor> Weights(string name, IEnumerable<(string Name, long[] Shape)> weights)
    {
        var generator = new Generator(17);
        var normsAt = name.StartsWith("gemma", StringComparison.Ordinal) ? 0.0 : 1.0;
        return weights.ToDictionary(
            weight => weight.Name,
            weight => weight.Shape.Length > 1 ? randn(weight.Shape, generator: generator) * (1.5 / Math.Sqrt(Math.Min(weight.Shape[0], weight.Shape[1])))
                : weight.Name.EndsWith("bias", StringComparison.Ordinal) ? randn(weight.Shape, generator: generator) * 0.1
                : (randn(weight.Shape, generator: generator) * 0.1) + normsAt,
            StringComparer.Ordinal);
    }
}
