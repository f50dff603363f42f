using System.Diagnostics.CodeAnalysis;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>A gemma2's configuration.</summary>
internal sealed record Gemma2Configuration : DecoderConfiguration
{
    [SetsRequiredMembers]
    private Gemma2Configuration(DecoderConfiguration common)
        : base(common)
    {
    }

    /// <summary>Products of queries and keys are divided by its root.</summary>
    public double QueryScalar { get; init; } = 256;

    /// <summary>c of c·tanh(x / c) on the products of queries and keys, or null.</summary>
    public double? AttentionSoftCap { get; init; }

    /// <summary>The same on the logits.</summary>
    public double? FinalSoftCap { get; init; }

    /// <summary>Whether q, k, v and o have biases.</summary>
    public bool AttentionBias { get; init; }

    /// <summary>From <c>config.json</c>.</summary>
    public static Gemma2Configuration FromJson(ModelConfig config)
    {
        ConfigurationReader.RefusePartialRotary(config);
        ConfigurationReader.RefuseTrue(config, "use_bidirectional_attention");
        var common = ConfigurationReader.FromJson(
            config,
            ConfigurationReader.Defaults with { KeyValueHeadCount = 4, HeadSize = 256, ContextLength = 8192, TiedEmbeddings = true, Activation = Activation.GeluTanh },
            "hidden_activation");
        var window = config.Contains("sliding_window") ? config.Size("sliding_window") : 4096;
        var sliding = ConfigurationReader.SlidingLayers(config, common.LayerCount);
        return ConfigurationReader.Checked(
            new Gemma2Configuration(common)
            {
                QueryScalar = config.Positive("query_pre_attn_scalar") ?? 256,
                AttentionSoftCap = config.Contains("attn_logit_softcapping") ? config.Positive("attn_logit_softcapping") : 50,
                FinalSoftCap = config.Contains("final_logit_softcapping") ? config.Positive("final_logit_softcapping") : 30,
                AttentionBias = config.Boolean("attention_bias") ?? false,
                Windows = ConfigurationReader.Windows(window, common.LayerCount, layer => sliding?[layer] ?? (layer % 2 == 0)),
            },
            config.Location);
    }

    /// <summary>From GGUF metadata.</summary>
    public static Gemma2Configuration FromGguf(GgufMetadata metadata)
    {
        // The file does not say what attention is divided by: √(head size), but in the 27B model, whose 46 layers tell it.
        const int layersOf27B = 46;
        var common = ConfigurationReader.FullRotary(ConfigurationReader.FromGguf(metadata, Activation.GeluTanh), metadata);
        return ConfigurationReader.Checked(
            new Gemma2Configuration(common)
            {
                QueryScalar = common.LayerCount == layersOf27B ? (double)common.HiddenSize / common.HeadCount : common.HeadSize,
                AttentionSoftCap = metadata.Number("attn_logit_softcapping") ?? 50,
                FinalSoftCap = metadata.Number("final_logit_softcapping") ?? 30,
                Windows = ConfigurationReader.Windows(metadata.Size("attention.sliding_window") ?? 4096, common.LayerCount, layer => layer % 2 == 0),
            },
            metadata.File.Path);
    }
}

/// <summary>The gemma2 decoder: norms of 1 + w before and after attention and MLP, every other layer with a sliding window, soft caps on attention and logits, scaled embeddings.</summary>
internal sealed class Gemma2Model : DecoderModel
{
    private readonly Layer[] _layers;
    private readonly RmsNorm _norm;

    private sealed record Layer(RmsNorm InputNorm, SelfAttention Attention, RmsNorm PostAttentionNorm, RmsNorm PreMlpNorm, GatedMlp Mlp, RmsNorm PostMlpNorm);

    /// <summary>Takes the weights.</summary>
    public Gemma2Model(Gemma2Configuration configuration, Func<string, long[], Tensor> weight)
        : base(configuration, weight, "model.embed_tokens", "lm_head")
    {
        var (c, h) = (configuration, configuration.HiddenSize);
        LogitSoftCap = c.FinalSoftCap;
        var rotary = c.Rotary();
        RmsNorm Norm(string name, long size) => Weights.RmsNorm(name, size, c.NormEpsilon, offset: 1);
        _layers = [.. Enumerable.Range(0, c.LayerCount).Select(layer =>
        {
            var name = $"model.layers.{layer}";
            var heads = c.Heads(layer, rotary) with { Scale = 1 / Math.Sqrt(c.QueryScalar), SoftCap = c.AttentionSoftCap };
            return new Layer(
                Norm($"{name}.input_layernorm", h),
                new SelfAttention(Weights, $"{name}.self_attn", h, heads, c.AttentionBias, c.AttentionBias),
                Norm($"{name}.post_attention_layernorm", h),
                Norm($"{name}.pre_feedforward_layernorm", h),
                new GatedMlp(Weights, $"{name}.mlp", c),
                Norm($"{name}.post_feedforward_layernorm", h));
        })];
        _norm = Norm("model.norm", h);
    }

    /// <inheritdoc/>
    public override string Architecture => "gemma2";

    // The embedding is also the head; as an input it has the size of √h.
    /// <inheritdoc/>
    protected override Tensor Embed(Tensor tokens, ForwardPass pass) => base.Embed(tokens, pass) * (float)Math.Sqrt(HiddenSize);

    /// <inheritdoc/>
    protected override Tensor Block(int layer, Tensor hidden, ForwardPass pass)
    {
        var block = _layers[layer];
        hidden = hidden + block.PostAttentionNorm.Apply(block.Attention.Forward(layer, block.InputNorm.Apply(hidden), pass));
        return hidden + block.PostMlpNorm.Apply(block.Mlp.Forward(block.PreMlpNorm.Apply(hidden), pass));
    }

    /// <inheritdoc/>
    protected override Tensor LastNorm(Tensor hidden) => _norm.Apply(hidden);
}
