using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>The qwen3 decoder: a llama with norms over each head's queries and keys; its upper layers may have a sliding window.</summary>
/// <param name="configuration">The sizes, the windows, and whether attention has biases.</param>
/// <param name="weight">Gives a weight by its checkpoint name as a float32 tensor of the stated shape, which the model then owns.</param>
internal sealed class Qwen3Model(DecoderConfiguration configuration, Func<string, long[], Tensor> weight) : GatedDecoder(configuration, weight, new()
{
    QueryKeyValueBias = configuration.AttentionBias,
    OutputBias = configuration.AttentionBias,
    QueryKeyNorms = QueryKeyNorms.EachHead,
})
{
    /// <inheritdoc/>
    public override string Architecture => "qwen3";

    /// <summary>From <c>config.json</c>.</summary>
    public static DecoderConfiguration Read(ModelConfig config)
    {
        ConfigurationReader.RefusePartialRotary(config);
        var common = ConfigurationReader.FromJson(config, ConfigurationReader.Defaults with { KeyValueHeadCount = 32, HeadSize = 128, ContextLength = 32_768 });
        return ConfigurationReader.Checked(
            common with
            {
                Windows = ConfigurationReader.UpperWindows(config, common.LayerCount),
                AttentionBias = config.Boolean("attention_bias") ?? false,
            },
            config.Location);
    }

    /// <summary>From GGUF metadata.</summary>
    public static DecoderConfiguration Read(GgufMetadata metadata)
    {
        var common = ConfigurationReader.FullRotary(ConfigurationReader.FromGguf(metadata), metadata);
        return ConfigurationReader.Checked(common with { AttentionBias = metadata.HasAttentionBias }, metadata.File.Path);
    }
}
