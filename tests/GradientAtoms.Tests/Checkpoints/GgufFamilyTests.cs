using System.Globalization;
using System.Text.Json.Nodes;
using GradientAtoms.Models;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Tests.Architectures;
using GradientAtoms.Tests.Runs;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Checkpoints;

/// <summary>
/// A GGUF file of each family, written here as llama.cpp's converter does (names, metadata, changed weights), against the Hugging Face
/// folder that it was written from. No outside file of these families was at hand.
/// </summary>
public sealed class GgufFamilyTests
{
    private static readonly int[] Prompt = [3, 14, 15, 9, 26, 5, 35, 40, 2, 7];

    [Theory]
    [InlineData("llama")]
    [InlineData("llama linear")]
    [InlineData("llama yarn")]
    [InlineData("qwen2")]
    [InlineData("qwen3")]
    [InlineData("gemma2")]
    [InlineData("gemma3")]
    [InlineData("phi3")]
    [InlineData("gpt2")]
    [InlineData("gpt_neox")]
    [InlineData("gpt_neox one after the other")]
    [InlineData("olmo2")]
    public void A_gguf_file_gives_the_logits_of_the_folder_that_it_was_converted_from(string family)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var folder = new TemporaryFolder();
        TinyModels.Write(folder["model"], family, change: config => Adapt(family, config));
        Convert(family, folder["model"], folder["model.gguf"]);
        using var original = LoadedModel.Load(folder["model"]);
        using var converted = LoadedModel.Load(folder["model.gguf"]);

        Assert.Equal("GGUF", converted.Description.Format);
        Assert.Equal(original.Model.Architecture, converted.Model.Architecture);
        Assert.Equal(original.Model.ParameterCount, converted.Model.ParameterCount);
        Assert.Equal(original.Model.LinearModules.Select(module => module.Name), converted.Model.LinearModules.Select(module => module.Name), StringComparer.Ordinal);

        // Gemma's norms are rounded once more, where 1 is added and taken off again.
        AssertTensor.Close(
            GoldenModelTests.Logits(original.Model, Prompt, ForwardRequest.Base), GoldenModelTests.Logits(converted.Model, Prompt, ForwardRequest.Base),
            family.StartsWith("gemma", StringComparison.Ordinal) ? 1e-5 : 0);
    }

    [Fact]
    public void Longrope_and_mixtures_of_experts_are_refused_by_name()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        TinyModels.Write(folder["model"], "phi3");
        Convert("phi3", folder["model"], folder["model.gguf"], writer => writer.Tensor("rope_factors_long.weight", [2], 0, new byte[8]));
        Assert.Contains("longrope", Assert.Throws<CheckpointException>(() => LoadedModel.Describe(folder["model.gguf"])).Message, StringComparison.Ordinal);
        TinyModels.Write(folder["model"], "qwen2");
        Convert("qwen2", folder["model"], folder["model.gguf"], writer => writer.With("qwen2.expert_count", 8));
        Assert.Contains("8 experts", Assert.Throws<CheckpointException>(() => LoadedModel.Describe(folder["model.gguf"])).Message, StringComparison.Ordinal);
        new GgufWriter().With("general.architecture", "rwkv").Write(folder["model.gguf"]);
        Assert.Equal("GA2322", Assert.Throws<CheckpointException>(() => LoadedModel.Describe(folder["model.gguf"])).Code);
    }

    // What GGUF files of these families cannot say is what their published models have.
    private static void Adapt(string family, JsonObject config)
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
    }

    private static void Convert(string family, string from, string to, Action<GgufWriter>? more = null)
    {
        using var scope = NewDisposeScope();
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(from, "config.json")))!.AsObject();
        var type = (string)config["model_type"]!;
        var architecture = type switch { "gemma3_text" => "gemma3", "gpt_neox" => "gptneox", _ => type };
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
        Key("rope.scaling.original_context_length", family == "llama yarn" ? 16 : null);
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
