using System.Diagnostics.CodeAnalysis;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>A qwen2's configuration.</summary>
internal sealed record Qwen2Configuration : DecoderConfiguration
{
    [SetsRequiredMembers]
    private Qwen2Configuration(DecoderConfiguration common)
        : base(common)
    {
    }

    /// <summary>From <c>config.json</c>.</summary>
    public static Qwen2Configuration FromJson(ModelConfig config)
    {
        ConfigurationReader.RefusePartialRotary(config);
        var common = ConfigurationReader.FromJson(config, ConfigurationReader.Defaults with { KeyValueHeadCount = 32, ContextLength = 32_768 });
        var isWindowUsed = config.Boolean("use_sliding_window") ?? false;
        var window = !isWindowUsed ? null : config.Contains("sliding_window") ? config.Size("sliding_window") : 4096;
        var firstSliding = config.Number("max_window_layers") ?? 28;
        var sliding = ConfigurationReader.SlidingLayers(config, common.LayerCount);
        return ConfigurationReader.Checked(
            new Qwen2Configuration(common)
            {
                Windows = ConfigurationReader.Windows(window, common.LayerCount, layer => sliding?[layer] ?? (layer >= firstSliding)),
            },
            config.Location);
    }

    /// <summary>From GGUF metadata.</summary>
    public static Qwen2Configuration FromGguf(GgufMetadata metadata)
    {
        var common = ConfigurationReader.FullRotary(ConfigurationReader.FromGguf(metadata), metadata);
        return ConfigurationReader.Checked(new Qwen2Configuration(common), metadata.File.Path);
    }
}

/// <summary>The qwen2 decoder: a llama whose queries, keys and values have biases; its upper layers may have a sliding window.</summary>
internal sealed class Qwen2Model : DecoderModel
{
    private readonly Layer[] _layers;
    private readonly RmsNorm _norm;

    private sealed record Layer(RmsNorm InputNorm, SelfAttention Attention, RmsNorm PostAttentionNorm, GatedMlp Mlp);

    /// <summary>Takes the weights.</summary>
    public Qwen2Model(Qwen2Configuration configuration, Func<string, long[], Tensor> weight)
        : base(configuration, weight, "model.embed_tokens", "lm_head")
    {
        var (c, h, rotary) = (configuration, configuration.HiddenSize, configuration.Rotary());
        _layers = [.. Enumerable.Range(0, c.LayerCount).Select(layer =>
        {
            var name = $"model.layers.{layer}";
            return new Layer(
                Weights.RmsNorm($"{name}.input_layernorm", h, c.NormEpsilon),
                new SelfAttention(Weights, $"{name}.self_attn", h, c.Heads(layer, rotary), bias: true, outputBias: false),
                Weights.RmsNorm($"{name}.post_attention_layernorm", h, c.NormEpsilon),
                new GatedMlp(Weights, $"{name}.mlp", c));
        })];
        _norm = Weights.RmsNorm("model.norm", h, c.NormEpsilon);
    }

    /// <inheritdoc/>
    public override string Architecture => "qwen2";

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
