using System.Diagnostics.CodeAnalysis;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>A qwen3's configuration.</summary>
internal sealed record Qwen3Configuration : DecoderConfiguration
{
    [SetsRequiredMembers]
    private Qwen3Configuration(DecoderConfiguration common)
        : base(common)
    {
    }

    /// <summary>Whether q, k, v and o have biases.</summary>
    public bool AttentionBias { get; init; }

    /// <summary>From <c>config.json</c>.</summary>
    public static Qwen3Configuration FromJson(ModelConfig config)
    {
        ConfigurationReader.RefusePartialRotary(config);
        var common = ConfigurationReader.FromJson(config, ConfigurationReader.Defaults with { KeyValueHeadCount = 32, HeadSize = 128, ContextLength = 32_768 });
        var isWindowUsed = config.Boolean("use_sliding_window") ?? false;
        var window = !isWindowUsed ? null : config.Contains("sliding_window") ? config.Size("sliding_window") : 4096;
        var firstSliding = config.Number("max_window_layers") ?? 28;
        var sliding = ConfigurationReader.SlidingLayers(config, common.LayerCount);
        return ConfigurationReader.Checked(
            new Qwen3Configuration(common)
            {
                Windows = ConfigurationReader.Windows(window, common.LayerCount, layer => sliding?[layer] ?? (layer >= firstSliding)),
                AttentionBias = config.Boolean("attention_bias") ?? false,
            },
            config.Location);
    }

    /// <summary>From GGUF metadata.</summary>
    public static Qwen3Configuration FromGguf(GgufMetadata metadata)
    {
        var common = ConfigurationReader.FullRotary(ConfigurationReader.FromGguf(metadata), metadata);
        return ConfigurationReader.Checked(new Qwen3Configuration(common) { AttentionBias = metadata.File.Contains("blk.0.attn_q.bias") }, metadata.File.Path);
    }
}

/// <summary>The qwen3 decoder: a llama with norms over each head's queries and keys.</summary>
internal sealed class Qwen3Model : DecoderModel
{
    private readonly Layer[] _layers;
    private readonly RmsNorm _norm;

    private sealed record Layer(RmsNorm InputNorm, SelfAttention Attention, RmsNorm PostAttentionNorm, GatedMlp Mlp);

    /// <summary>Takes the weights.</summary>
    public Qwen3Model(Qwen3Configuration configuration, Func<string, long[], Tensor> weight)
        : base(configuration, weight, "model.embed_tokens", "lm_head")
    {
        var (c, h, rotary) = (configuration, configuration.HiddenSize, configuration.Rotary());
        _layers = [.. Enumerable.Range(0, c.LayerCount).Select(layer =>
        {
            var name = $"model.layers.{layer}";
            return new Layer(
                Weights.RmsNorm($"{name}.input_layernorm", h, c.NormEpsilon),
                new SelfAttention(Weights, $"{name}.self_attn", h, c.Heads(layer, rotary), c.AttentionBias, c.AttentionBias)
                {
                    Norms = (Weights.RmsNorm($"{name}.self_attn.q_norm", c.HeadSize, c.NormEpsilon), Weights.RmsNorm($"{name}.self_attn.k_norm", c.HeadSize, c.NormEpsilon)),
                },
                Weights.RmsNorm($"{name}.post_attention_layernorm", h, c.NormEpsilon),
                new GatedMlp(Weights, $"{name}.mlp", c));
        })];
        _norm = Weights.RmsNorm("model.norm", h, c.NormEpsilon);
    }

    /// <inheritdoc/>
    public override string Architecture => "qwen3";

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
