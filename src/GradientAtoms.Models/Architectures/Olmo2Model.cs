using System.Diagnostics.CodeAnalysis;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>An olmo2's configuration.</summary>
internal sealed record Olmo2Configuration : DecoderConfiguration
{
    [SetsRequiredMembers]
    private Olmo2Configuration(DecoderConfiguration common)
        : base(common)
    {
    }

    /// <summary>Whether q, k, v and o have biases.</summary>
    public bool AttentionBias { get; init; }

    /// <summary>From <c>config.json</c>.</summary>
    public static Olmo2Configuration FromJson(ModelConfig config)
    {
        ConfigurationReader.RefusePartialRotary(config);
        var common = ConfigurationReader.FromJson(config, ConfigurationReader.Defaults with { NormEpsilon = 1e-5 });
        return ConfigurationReader.Checked(new Olmo2Configuration(common) { AttentionBias = config.Boolean("attention_bias") ?? false }, config.Location);
    }

    /// <summary>From GGUF metadata.</summary>
    public static Olmo2Configuration FromGguf(GgufMetadata metadata)
    {
        var common = ConfigurationReader.FullRotary(ConfigurationReader.FromGguf(metadata), metadata);
        return ConfigurationReader.Checked(new Olmo2Configuration(common) { AttentionBias = metadata.File.Contains("blk.0.attn_q.bias") }, metadata.File.Path);
    }
}

/// <summary>The olmo2 decoder: norms after attention and MLP, not before; norms over the whole of queries and keys.</summary>
internal sealed class Olmo2Model : DecoderModel
{
    private readonly Layer[] _layers;
    private readonly RmsNorm _norm;

    private sealed record Layer(SelfAttention Attention, RmsNorm PostAttentionNorm, GatedMlp Mlp, RmsNorm PostMlpNorm);

    /// <summary>Takes the weights.</summary>
    public Olmo2Model(Olmo2Configuration configuration, Func<string, long[], Tensor> weight)
        : base(configuration, weight, "model.embed_tokens", "lm_head")
    {
        var (c, h, rotary) = (configuration, configuration.HiddenSize, configuration.Rotary());
        _layers = [.. Enumerable.Range(0, c.LayerCount).Select(layer =>
        {
            var name = $"model.layers.{layer}";
            var heads = c.Heads(layer, rotary);
            return new Layer(
                new SelfAttention(Weights, $"{name}.self_attn", h, heads, c.AttentionBias, c.AttentionBias)
                {
                    Norms = (Weights.RmsNorm($"{name}.self_attn.q_norm", heads.Sizes.Queries, c.NormEpsilon), Weights.RmsNorm($"{name}.self_attn.k_norm", heads.Sizes.Keys, c.NormEpsilon)),
                    NormsWholeProjection = true,
                },
                Weights.RmsNorm($"{name}.post_attention_layernorm", h, c.NormEpsilon),
                new GatedMlp(Weights, $"{name}.mlp", c),
                Weights.RmsNorm($"{name}.post_feedforward_layernorm", h, c.NormEpsilon));
        })];
        _norm = Weights.RmsNorm("model.norm", h, c.NormEpsilon);
    }

    /// <inheritdoc/>
    public override string Architecture => "olmo2";

    /// <inheritdoc/>
    protected override Tensor Block(int layer, Tensor hidden, ForwardPass pass)
    {
        var block = _layers[layer];
        hidden = hidden + block.PostAttentionNorm.Apply(block.Attention.Forward(layer, hidden, pass));
        return hidden + block.PostMlpNorm.Apply(block.Mlp.Forward(hidden, pass));
    }

    /// <inheritdoc/>
    protected override Tensor LastNorm(Tensor hidden) => _norm.Apply(hidden);
}
