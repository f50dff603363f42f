using static TorchSharp.torch;

namespace GradientAtoms.Models.Checkpoints;

/// <summary>
/// A GGUF file of a llama under Hugging Face's names. llama.cpp's conversion reorders the rows of q and k inside each head, so that
/// rotary pairs lie side by side (2i, 2i + 1); Hugging Face pairs i with i + size / 2. Reading undoes it.
/// </summary>
internal sealed class GgufCheckpoint : Checkpoint
{
    /// <summary>Not a weight: what the rotary frequencies are divided by (Llama 3.1 and later).</summary>
    public const string RopeFactors = "rope_freqs.weight";

    private static readonly Dictionary<string, string> Whole = new(StringComparer.Ordinal)
    {
        ["token_embd.weight"] = "model.embed_tokens.weight",
        ["output_norm.weight"] = "model.norm.weight",
        ["output.weight"] = "lm_head.weight",
    };

    private static readonly Dictionary<string, string> InBlock = new(StringComparer.Ordinal)
    {
        ["attn_norm"] = "input_layernorm",
        ["ffn_norm"] = "post_attention_layernorm",
        ["attn_q"] = "self_attn.q_proj",
        ["attn_k"] = "self_attn.k_proj",
        ["attn_v"] = "self_attn.v_proj",
        ["attn_output"] = "self_attn.o_proj",
        ["ffn_gate"] = "mlp.gate_proj",
        ["ffn_up"] = "mlp.up_proj",
        ["ffn_down"] = "mlp.down_proj",
    };

    private readonly Dictionary<string, string> _ggufNames;

    public GgufCheckpoint(GgufFile file)
    {
        File = file;
        _ggufNames = file.Tensors.Where(tensor => tensor.Name != RopeFactors).ToDictionary(tensor => HuggingFaceName(tensor.Name), tensor => tensor.Name, StringComparer.Ordinal);
        Names = [.. _ggufNames.Keys];
        Files = [Path.GetFullPath(file.Path)];
        Fingerprint = Hash([$"{file.Length} {file.HeaderSha256()}"]);
    }

    /// <summary>The file, for its metadata.</summary>
    public GgufFile File { get; }

    public override string Format => "GGUF";

    public override IReadOnlyList<string> Files { get; }

    public override IReadOnlyList<string> Names { get; }

    public override string Fingerprint { get; }

    /// <summary>Hugging Face's name of a llama tensor; a name that is not known stays as it is.</summary>
    public static string HuggingFaceName(string name)
    {
        if (Whole.TryGetValue(name, out var whole))
        {
            return whole;
        }

        return name.Split('.') is ["blk", var layer, var part, var kind] && InBlock.TryGetValue(part, out var module)
            ? $"model.layers.{layer}.{module}.{kind}"
            : name;
    }

    public override bool Contains(string name) => _ggufNames.ContainsKey(name);

    public override IReadOnlyList<long> Shape(string name) => File.Tensor(GgufName(name)).Shape;

    public override string StoredType(string name) => File.Tensor(GgufName(name)).Type;

    public override Tensor Read(string name)
    {
        var tensor = File.Read(GgufName(name));
        var heads = name.Contains(".q_proj.", StringComparison.Ordinal) ? "head_count" : name.Contains(".k_proj.", StringComparison.Ordinal) ? "head_count_kv" : null;
        if (heads is null)
        {
            return tensor;
        }

        using (tensor)
        {
            var count = File.Integer($"llama.attention.{heads}") ?? File.Integer("llama.attention.head_count") ?? 0;
            var rows = tensor.shape[0];
            if (count < 1 || rows % (2 * count) != 0)
            {
                throw new CheckpointException("GA2331", File.Path, $"{name} has {rows} rows, which {count} heads do not divide into pairs", "The file is damaged or of another architecture: convert it again.");
            }

            using var scope = NewDisposeScope();
            return tensor.view(count, rows / count / 2, 2, -1).transpose(1, 2).reshape(tensor.shape).MoveToOuterDisposeScope();
        }
    }

    protected override void Dispose(bool disposing) => File.Dispose();

    private string GgufName(string name) => _ggufNames.TryGetValue(name, out var ggufName)
        ? ggufName
        : throw new CheckpointException("GA2305", File.Path, $"has no tensor {name}", "The file is of another architecture, or incomplete: fetch it again.");
}
