using System.Diagnostics.CodeAnalysis;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>A llama's configuration.</summary>
internal sealed record LlamaConfiguration : DecoderConfiguration
{
    /// <summary>Starts from nothing.</summary>
    public LlamaConfiguration()
    {
    }

    [SetsRequiredMembers]
    private LlamaConfiguration(DecoderConfiguration common)
        : base(common)
    {
    }

    /// <summary>Whether q, k, v and o have biases.</summary>
    public bool AttentionBias { get; init; }

    /// <summary>Whether gate, up and down have biases.</summary>
    public bool MlpBias { get; init; }

    /// <summary>From <c>config.json</c>.</summary>
    public static LlamaConfiguration FromJson(ModelConfig config)
    {
        ConfigurationReader.RefusePartialRotary(config);
        return ConfigurationReader.Checked(
            new LlamaConfiguration(ConfigurationReader.FromJson(config, ConfigurationReader.Defaults))
            {
                AttentionBias = config.Boolean("attention_bias") ?? false,
                MlpBias = config.Boolean("mlp_bias") ?? false,
            },
            config.Location);
    }

    /// <summary>From GGUF metadata; a mistral is a llama there.</summary>
    public static LlamaConfiguration FromGguf(GgufMetadata metadata)
    {
        var common = ConfigurationReader.FullRotary(ConfigurationReader.FromGguf(metadata), metadata);
        return ConfigurationReader.Checked(
            new LlamaConfiguration(common)
            {
                AttentionBias = metadata.File.Contains("blk.0.attn_q.bias"),
                MlpBias = metadata.File.Contains("blk.0.ffn_gate.bias"),
                Windows = ConfigurationReader.Windows(metadata.Size("attention.sliding_window"), common.LayerCount, _ => true),
            },
            metadata.File.Path);
    }
}

/// <summary>The llama decoder: RMS norm, rotary attention with grouped keys and values, gated SiLU MLP.</summary>
internal sealed class LlamaModel : DecoderModel
{
    private readonly Layer[] _layers;
    private readonly RmsNorm _norm;

    private sealed record Layer(RmsNorm InputNorm, SelfAttention Attention, RmsNorm PostAttentionNorm, GatedMlp Mlp);

    /// <summary>Takes the weights.</summary>
    public LlamaModel(LlamaConfiguration configuration, Func<string, long[], Tensor> weight)
        : base(configuration, weight, "model.embed_tokens", "lm_head")
    {
        var (c, h, rotary) = (configuration, configuration.HiddenSize, configuration.Rotary());
        _layers = [.. Enumerable.Range(0, c.LayerCount).Select(layer =>
        {
            var name = $"model.layers.{layer}";
            return new Layer(
                Weights.RmsNorm($"{name}.input_layernorm", h, c.NormEpsilon),
                new SelfAttention(Weights, $"{name}.self_attn", h, c.Heads(layer, rotary), c.AttentionBias, c.AttentionBias),
                Weights.RmsNorm($"{name}.post_attention_layernorm", h, c.NormEpsilon),
                new GatedMlp(Weights, $"{name}.mlp", c, c.MlpBias));
        })];
        _norm = Weights.RmsNorm("model.norm", h, c.NormEpsilon);
    }

    /// <inheritdoc/>
    public override string Architecture => "llama";

    /// <inheritdoc/>
    protected override Tensor Block(int layer, Tensor hidden, ForwardPass pass)
    {
        var block = _layers[layer];
        hidden = hidden + block.Attention.Forward(layer, block.InputNorm.Apply(hidden), pass);
        return hidden + block.Mlp.Forward(block.PostAttentionNorm.Apply(hidden), pass);
    }

    /// <inheritdoc/>
    protected override Tensor LastNorm(Tensor hidden) => _norm.Apply(hidden);
}
