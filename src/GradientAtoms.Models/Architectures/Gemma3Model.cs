using System.Diagnostics.CodeAnalysis;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>A gemma3 text model's configuration.</summary>
internal sealed record Gemma3Configuration : DecoderConfiguration
{
    [SetsRequiredMembers]
    private Gemma3Configuration(DecoderConfiguration common)
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

    /// <summary>The base of the rotary angles in layers with a window.</summary>
    public double LocalRopeTheta { get; init; } = 10_000;

    /// <summary>The scaling in layers with a window, or null.</summary>
    public RopeScaling? LocalRopeScaling { get; init; }

    /// <summary>From <c>config.json</c>.</summary>
    public static Gemma3Configuration FromJson(ModelConfig config)
    {
        ConfigurationReader.RefusePartialRotary(config);
        ConfigurationReader.RefuseTrue(config, "use_bidirectional_attention");

        // The text part of a multimodal configuration says only what differs from these.
        var absent = ConfigurationReader.Defaults with
        {
            VocabularySize = 262_208, HiddenSize = 2304, IntermediateSize = 9216, LayerCount = 26, HeadCount = 8, KeyValueHeadCount = 4, HeadSize = 256,
            ContextLength = 131_072, RopeTheta = 1_000_000, TiedEmbeddings = true, Activation = Activation.GeluTanh,
        };
        var common = ConfigurationReader.FromJson(config, absent, "hidden_activation");
        var (full, local) = (ConfigurationReader.Rope(config, "full_attention"), config.Object("rope_parameters")?.Object("sliding_attention"));
        var window = config.Contains("sliding_window") ? config.Size("sliding_window") : 4096;
        var pattern = config.Size("sliding_window_pattern") ?? config.Size("_sliding_window_pattern") ?? 6;
        var sliding = ConfigurationReader.SlidingLayers(config, common.LayerCount);
        return ConfigurationReader.Checked(
            new Gemma3Configuration(common)
            {
                QueryScalar = config.Positive("query_pre_attn_scalar") ?? 256,
                AttentionSoftCap = config.Positive("attn_logit_softcapping"),
                FinalSoftCap = config.Positive("final_logit_softcapping"),
                AttentionBias = config.Boolean("attention_bias") ?? false,
                RopeTheta = ConfigurationReader.Theta(config, full, absent.RopeTheta),
                RopeScaling = ConfigurationReader.Scaling(full, config, common.ContextLength),
                LocalRopeTheta = local?.Number("rope_theta") ?? config.Number("rope_local_base_freq") ?? 10_000,
                LocalRopeScaling = ConfigurationReader.Scaling(local, config, common.ContextLength),
                Windows = ConfigurationReader.Windows(window, common.LayerCount, layer => sliding?[layer] ?? ((layer + 1) % pattern != 0)),
            },
            config.Location);
    }

    /// <summary>From GGUF metadata.</summary>
    public static Gemma3Configuration FromGguf(GgufMetadata metadata)
    {
        // As with gemma2, what attention is divided by is known from the size; the pattern of windows and their base are fixed.
        const int layersOf27B = 62, pattern = 6;
        var common = ConfigurationReader.FullRotary(ConfigurationReader.FromGguf(metadata, Activation.GeluTanh), metadata);
        return ConfigurationReader.Checked(
            new Gemma3Configuration(common)
            {
                QueryScalar = common.LayerCount == layersOf27B ? (double)common.HiddenSize / common.HeadCount : common.HeadSize,
                FinalSoftCap = metadata.Number("final_logit_softcapping"),
                RopeTheta = metadata.Number("rope.freq_base") ?? 1_000_000,
                LocalRopeTheta = metadata.Number("rope.freq_base_swa") ?? 10_000,
                Windows = ConfigurationReader.Windows(metadata.Size("attention.sliding_window") ?? 4096, common.LayerCount, layer => (layer + 1) % pattern != 0),
            },
            metadata.File.Path);
    }
}

/// <summary>The gemma3 text decoder: a gemma2 with norms over each head's queries and keys, more layers with a window than without, and rotary positions of their own in each kind.</summary>
internal sealed class Gemma3Model : DecoderModel
{
    private readonly Layer[] _layers;
    private readonly RmsNorm _norm;

    private sealed record Layer(RmsNorm InputNorm, SelfAttention Attention, RmsNorm PostAttentionNorm, RmsNorm PreMlpNorm, GatedMlp Mlp, RmsNorm PostMlpNorm);

    /// <summary>Takes the weights.</summary>
    public Gemma3Model(Gemma3Configuration configuration, Func<string, long[], Tensor> weight)
        : base(configuration, weight, "model.embed_tokens", "lm_head")
    {
        var (c, h) = (configuration, configuration.HiddenSize);
        LogitSoftCap = c.FinalSoftCap;
        var (everywhere, near) = (c.Rotary(), new RotaryEmbedding(c.HeadSize, c.LocalRopeTheta, c.LocalRopeScaling));
        RmsNorm Norm(string name, long size) => Weights.RmsNorm(name, size, c.NormEpsilon, offset: 1);
        _layers = [.. Enumerable.Range(0, c.LayerCount).Select(layer =>
        {
            var name = $"model.layers.{layer}";
            var heads = c.Heads(layer, c.WindowOf(layer) is null ? everywhere : near) with { Scale = 1 / Math.Sqrt(c.QueryScalar), SoftCap = c.AttentionSoftCap };
            return new Layer(
                Norm($"{name}.input_layernorm", h),
                new SelfAttention(Weights, $"{name}.self_attn", h, heads, c.AttentionBias, c.AttentionBias)
                {
                    Norms = (Norm($"{name}.self_attn.q_norm", c.HeadSize), Norm($"{name}.self_attn.k_norm", c.HeadSize)),
                },
                Norm($"{name}.post_attention_layernorm", h),
                Norm($"{name}.pre_feedforward_layernorm", h),
                new GatedMlp(Weights, $"{name}.mlp", c),
                Norm($"{name}.post_feedforward_layernorm", h));
        })];
        _norm = Norm("model.norm", h);
    }

    /// <inheritdoc/>
    public override string Architecture => "gemma3_text";

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
