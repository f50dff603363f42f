namespace GradientAtoms.Models.Checkpoints;

/// <summary>How GGUF's names of tensors map to Hugging Face's, by architecture.</summary>
internal static class GgufNames
{
    /// <summary>Not a weight: what the rotary frequencies are divided by (Llama 3.1 and later).</summary>
    public const string RopeFactors = "rope_freqs.weight";

    /// <summary>The same of longrope, in documents no longer than the original context.</summary>
    public const string ShortRopeFactors = "rope_factors_short.weight";

    /// <summary>The same in longer documents.</summary>
    public const string LongRopeFactors = "rope_factors_long.weight";

    private static readonly Dictionary<string, (string Blocks, Dictionary<string, string> Whole, Dictionary<string, string> InBlock)> Known = new(StringComparer.Ordinal)
    {
        ["gpt2"] = (
            "transformer.h",
            Table(("token_embd", "transformer.wte"), ("position_embd", "transformer.wpe"), ("output_norm", "transformer.ln_f"), ("output", "lm_head")),
            Table(("attn_norm", "ln_1"), ("attn_qkv", "attn.c_attn"), ("attn_output", "attn.c_proj"), ("ffn_norm", "ln_2"), ("ffn_up", "mlp.c_fc"), ("ffn_down", "mlp.c_proj"))),
        ["gptneox"] = (
            "gpt_neox.layers",
            Table(("token_embd", "gpt_neox.embed_in"), ("output_norm", "gpt_neox.final_layer_norm"), ("output", "embed_out")),
            Table(
                ("attn_norm", "input_layernorm"), ("attn_qkv", "attention.query_key_value"), ("attn_output", "attention.dense"), ("ffn_norm", "post_attention_layernorm"),
                ("ffn_up", "mlp.dense_h_to_4h"), ("ffn_down", "mlp.dense_4h_to_h"))),
        ["phi3"] = LlamaLike(("attn_norm", "input_layernorm"), ("ffn_norm", "post_attention_layernorm"), ("attn_qkv", "self_attn.qkv_proj"), ("ffn_up", "mlp.gate_up_proj")),
        ["gemma2"] = LlamaLike(
            ("attn_norm", "input_layernorm"), ("post_attention_norm", "post_attention_layernorm"), ("ffn_norm", "pre_feedforward_layernorm"), ("post_ffw_norm", "post_feedforward_layernorm")),
        ["gemma3"] = LlamaLike(
            ("attn_norm", "input_layernorm"), ("post_attention_norm", "post_attention_layernorm"), ("ffn_norm", "pre_feedforward_layernorm"), ("post_ffw_norm", "post_feedforward_layernorm")),
        ["olmo2"] = LlamaLike(("post_attention_norm", "post_attention_layernorm"), ("post_ffw_norm", "post_feedforward_layernorm")),
    };

    private static readonly (string Blocks, Dictionary<string, string> Whole, Dictionary<string, string> InBlock) Others =
        LlamaLike(("attn_norm", "input_layernorm"), ("ffn_norm", "post_attention_layernorm"));

    /// <summary>Whether a tensor is no weight.</summary>
    public static bool IsFactors(string name) => name is RopeFactors or ShortRopeFactors or LongRopeFactors;

    /// <summary>llama.cpp's name for a family: <c>llama</c> for a mistral.</summary>
    public static string ArchitectureOf(string huggingFace) => huggingFace switch
    {
        "mistral" => "llama",
        "gemma3_text" => "gemma3",
        "gpt_neox" => "gptneox",
        _ => huggingFace,
    };

    /// <summary>llama.cpp's name of a linear module: <c>blk.0.attn_q</c>.</summary>
    /// <param name="architecture">As llama.cpp spells it.</param>
    /// <param name="module">As Hugging Face does: <c>model.layers.0.self_attn.q_proj</c>.</param>
    /// <returns>Null where llama.cpp has none.</returns>
    public static string? GgufModule(string architecture, string module)
    {
        var (blocks, _, inBlock) = Known.GetValueOrDefault(architecture, Others);
        var parts = module.StartsWith($"{blocks}.", StringComparison.Ordinal) ? module[(blocks.Length + 1)..].Split('.', 2) : [];
        return parts is [var layer, var rest] && inBlock.FirstOrDefault(pair => pair.Value == rest).Key is { } part ? $"blk.{layer}.{part}" : null;
    }

    /// <summary>Hugging Face's name of a tensor; a name that is not known stays as it is.</summary>
    public static string HuggingFaceName(string architecture, string name)
    {
        var (blocks, whole, inBlock) = Known.GetValueOrDefault(architecture, Others);
        return name.Split('.') switch
        {
            [var part, var kind] when whole.TryGetValue(part, out var module) => $"{module}.{kind}",
            ["blk", var layer, var part, var kind] when inBlock.TryGetValue(part, out var module) => $"{blocks}.{layer}.{module}.{kind}",
            _ => name,
        };
    }

    private static (string Blocks, Dictionary<string, string> Whole, Dictionary<string, string> InBlock) LlamaLike(params (string Gguf, string HuggingFace)[] own)
    {
        var inBlock = Table(
            ("attn_q", "self_attn.q_proj"), ("attn_k", "self_attn.k_proj"), ("attn_v", "self_attn.v_proj"), ("attn_output", "self_attn.o_proj"),
            ("attn_q_norm", "self_attn.q_norm"), ("attn_k_norm", "self_attn.k_norm"), ("ffn_gate", "mlp.gate_proj"), ("ffn_up", "mlp.up_proj"), ("ffn_down", "mlp.down_proj"));
        foreach (var (gguf, huggingFace) in own)
        {
            inBlock[gguf] = huggingFace;
        }

        return ("model.layers", Table(("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("output", "lm_head")), inBlock);
    }

    private static Dictionary<string, string> Table(params (string Gguf, string HuggingFace)[] names) => names.ToDictionary(name => name.Gguf, name => name.HuggingFace, StringComparer.Ordinal);
}
