using System.Diagnostics.CodeAnalysis;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>A gemma3 text model's configuration.</summary>
internal sealed record Gemma3Configuration : GemmaConfiguration
{
    /// <summary>Adds to what all decoders say.</summary>
    [SetsRequiredMembers]
    public Gemma3Configuration(DecoderConfiguration common)
        : base(common)
    {
    }

    /// <summary>The base of the rotary angles in layers with a window.</summary>
    public double LocalRopeTheta { get; init; } = 10_000;

    /// <summary>The scaling in layers with a window, or null.</summary>
    public RopeScaling? LocalRopeScaling { get; init; }
}

/// <summary>The gemma3 text decoder: norms over each head's queries and keys, more layers with a window than without, and rotary positions of their own in each kind.</summary>
internal sealed class Gemma3Model : GemmaModel
{
    /// <summary>Takes the weights.</summary>
    public Gemma3Model(Gemma3Configuration configuration, Func<string, long[], Tensor> weight)
        : this(configuration, weight, configuration.Rotary(), new RotaryEmbedding(configuration.HeadSize, configuration.LocalRopeTheta, configuration.LocalRopeScaling))
    {
    }

    private Gemma3Model(Gemma3Configuration configuration, Func<string, long[], Tensor> weight, RotaryEmbedding everywhere, RotaryEmbedding near)
        : base(configuration, weight, QueryKeyNorms.EachHead, layer => configuration.WindowOf(layer) is null ? everywhere : near)
    {
    }

    /// <inheritdoc/>
    public override string Architecture => "gemma3_text";

    /// <summary>From <c>config.json</c>.</summary>
    public static Gemma3Configuration Read(ModelConfig config)
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
        var pattern = config.Size("sliding_window_pattern") ?? config.Size("_sliding_window_pattern") ?? 6;
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
                Windows = ConfigurationReader.Windows(config, common.LayerCount, layer => (layer + 1) % pattern != 0),
            },
            config.Location);
    }

    /// <summary>From GGUF metadata.</summary>
    public static Gemma3Configuration Read(GgufMetadata metadata)
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
