using System.Diagnostics.CodeAnalysis;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>A mistral's configuration.</summary>
internal sealed record MistralConfiguration : DecoderConfiguration
{
    [SetsRequiredMembers]
    private MistralConfiguration(DecoderConfiguration common)
        : base(common)
    {
    }

    /// <summary>From <c>config.json</c>.</summary>
    public static MistralConfiguration FromJson(ModelConfig config)
    {
        const int absentWindow = 4096;
        ConfigurationReader.RefusePartialRotary(config);
        var common = ConfigurationReader.FromJson(config, ConfigurationReader.Defaults with { KeyValueHeadCount = 8, ContextLength = 131_072 });
        var window = config.Contains("sliding_window") ? config.Size("sliding_window") : absentWindow;
        var sliding = ConfigurationReader.SlidingLayers(config, common.LayerCount);
        return ConfigurationReader.Checked(
            new MistralConfiguration(common) { Windows = ConfigurationReader.Windows(window, common.LayerCount, layer => sliding?[layer] ?? true) }, config.Location);
    }
}

/// <summary>The mistral decoder: a llama without biases whose queries see a sliding window of tokens.</summary>
internal sealed class MistralModel : DecoderModel
{
    private readonly Layer[] _layers;
    private readonly RmsNorm _norm;

    private sealed record Layer(RmsNorm InputNorm, SelfAttention Attention, RmsNorm PostAttentionNorm, GatedMlp Mlp);

    /// <summary>Takes the weights.</summary>
    public MistralModel(MistralConfiguration configuration, Func<string, long[], Tensor> weight)
        : base(configuration, weight, "model.embed_tokens", "lm_head")
    {
        var (c, h, rotary) = (configuration, configuration.HiddenSize, configuration.Rotary());
        _layers = [.. Enumerable.Range(0, c.LayerCount).Select(layer =>
        {
            var name = $"model.layers.{layer}";
            return new Layer(
                Weights.RmsNorm($"{name}.input_layernorm", h, c.NormEpsilon),
                new SelfAttention(Weights, $"{name}.self_attn", h, c.Heads(layer, rotary), bias: false, outputBias: false),
                Weights.RmsNorm($"{name}.post_attention_layernorm", h, c.NormEpsilon),
                new GatedMlp(Weights, $"{name}.mlp", c));
        })];
        _norm = Weights.RmsNorm("model.norm", h, c.NormEpsilon);
    }

    /// <inheritdoc/>
    public override string Architecture => "mistral";

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
