using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>The llama decoder: RMS norms before attention and MLP, rotary attention with grouped keys and values, gated SiLU MLP.</summary>
/// <param name="configuration">The sizes, and which biases there are.</param>
/// <param name="weight">Gives a weight by its checkpoint name as a float32 tensor of the stated shape, which the model then owns.</param>
internal sealed class LlamaModel(DecoderConfiguration configuration, Func<string, long[], Tensor> weight) : GatedDecoder(configuration, weight, new()
{
    QueryKeyValueBias = configuration.AttentionBias,
    OutputBias = configuration.AttentionBias,
    MlpBias = configuration.MlpBias,
})
{
    /// <inheritdoc/>
    public override string Architecture => "llama";

    /// <summary>From <c>config.json</c>.</summary>
    public static DecoderConfiguration Read(ModelConfig config)
    {
        ConfigurationReader.RefusePartialRotary(config);
        return ConfigurationReader.Checked(
            ConfigurationReader.FromJson(config, ConfigurationReader.Defaults) with
            {
                AttentionBias = config.Boolean("attention_bias") ?? false,
                MlpBias = config.Boolean("mlp_bias") ?? false,
            },
            config.Location);
    }

    /// <summary>From GGUF metadata; a mistral is a llama there.</summary>
    public static DecoderConfiguration Read(GgufMetadata metadata)
    {
        var common = ConfigurationReader.FullRotary(ConfigurationReader.FromGguf(metadata), metadata);
        return ConfigurationReader.Checked(
            common with
            {
                AttentionBias = metadata.HasAttentionBias,
                MlpBias = metadata.File.Contains("blk.0.ffn_gate.bias"),
                Windows = ConfigurationReader.Windows(metadata.Size("attention.sliding_window"), common.LayerCount, _ => true),
            },
            metadata.File.Path);
    }
}
