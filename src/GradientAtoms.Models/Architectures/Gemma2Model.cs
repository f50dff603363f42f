using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>The gemma2 decoder: every other layer with a sliding window, soft caps on attention and logits.</summary>
internal sealed class Gemma2Model : GemmaModel
{
    /// <summary>Takes the weights.</summary>
    public Gemma2Model(GemmaConfiguration configuration, Func<string, long[], Tensor> weight)
        : this(configuration, weight, configuration.Rotary())
    {
    }

    private Gemma2Model(GemmaConfiguration configuration, Func<string, long[], Tensor> weight, RotaryEmbedding rotary)
        : base(configuration, weight, QueryKeyNorms.None, _ => rotary)
    {
    }

    /// <inheritdoc/>
    public override string Architecture => "gemma2";

    /// <summary>From <c>config.json</c>.</summary>
    public static GemmaConfiguration Read(ModelConfig config)
    {
        ConfigurationReader.RefusePartialRotary(config);
        ConfigurationReader.RefuseTrue(config, "use_bidirectional_attention");
        var common = ConfigurationReader.FromJson(
            config,
            ConfigurationReader.Defaults with { KeyValueHeadCount = 4, HeadSize = 256, ContextLength = 8192, TiedEmbeddings = true, Activation = Activation.GeluTanh },
            "hidden_activation");
        return ConfigurationReader.Checked(
            new GemmaConfiguration(common)
            {
                QueryScalar = config.Positive("query_pre_attn_scalar") ?? 256,
                AttentionSoftCap = config.Contains("attn_logit_softcapping") ? config.Positive("attn_logit_softcapping") : 50,
                FinalSoftCap = config.Contains("final_logit_softcapping") ? config.Positive("final_logit_softcapping") : 30,
                AttentionBias = config.Boolean("attention_bias") ?? false,
                Windows = ConfigurationReader.Windows(config, common.LayerCount, layer => layer % 2 == 0),
            },
            config.Location);
    }

    /// <summary>From GGUF metadata.</summary>
    public static GemmaConfiguration Read(GgufMetadata metadata)
    {
        // The file does not say what attention is divided by: √(head size), but in the 27B model, whose 46 layers tell it.
        const int layersOf27B = 46;
        var common = ConfigurationReader.FullRotary(ConfigurationReader.FromGguf(metadata, Activation.GeluTanh), metadata);
        return ConfigurationReader.Checked(
            new GemmaConfiguration(common)
            {
                QueryScalar = common.LayerCount == layersOf27B ? (double)common.HiddenSize / common.HeadCount : common.HeadSize,
                AttentionSoftCap = metadata.Number("attn_logit_softcapping") ?? 50,
                FinalSoftCap = metadata.Number("final_logit_softcapping") ?? 30,
                Windows = ConfigurationReader.Windows(metadata.Size("attention.sliding_window") ?? 4096, common.LayerCount, layer => layer % 2 == 0),
            },
            metadata.File.Path);
    }
}
