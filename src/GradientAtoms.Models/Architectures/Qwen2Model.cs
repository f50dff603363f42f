using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>The qwen2 decoder: a llama whose queries, keys and values have biases; its upper layers may have a sliding window.</summary>
/// <param name="configuration">The sizes and the windows.</param>
/// <param name="weight">Gives a weight by its checkpoint name as a float32 tensor of the stated shape, which the model then owns.</param>
internal sealed class Qwen2Model(DecoderConfiguration configuration, Func<string, long[], Tensor> weight) : GatedDecoder(configuration, weight, new() { QueryKeyValueBias = true })
{
    /// <inheritdoc/>
    public override string Architecture => "qwen2";

    /// <summary>From <c>config.json</c>.</summary>
    public static DecoderConfiguration Read(ModelConfig config)
    {
        ConfigurationReader.RefusePartialRotary(config);
        var common = ConfigurationReader.FromJson(config, ConfigurationReader.Defaults with { KeyValueHeadCount = 32, ContextLength = 32_768 });
        return ConfigurationReader.Checked(common with { Windows = ConfigurationReader.UpperWindows(config, common.LayerCount) }, config.Location);
    }

    /// <summary>From GGUF metadata.</summary>
    public static DecoderConfiguration Read(GgufMetadata metadata) =>
        ConfigurationReader.Checked(ConfigurationReader.FullRotary(ConfigurationReader.FromGguf(metadata), metadata), metadata.File.Path);
}
