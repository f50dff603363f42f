using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>The mistral decoder: a llama without biases whose queries see a sliding window of tokens.</summary>
/// <param name="configuration">The sizes and the window.</param>
/// <param name="weight">Gives a weight by its checkpoint name as a float32 tensor of the stated shape, which the model then owns.</param>
internal sealed class MistralModel(DecoderConfiguration configuration, Func<string, long[], Tensor> weight) : GatedDecoder(configuration, weight, new())
{
    /// <inheritdoc/>
    public override string Architecture => "mistral";

    /// <summary>From <c>config.json</c>.</summary>
    public static DecoderConfiguration Read(ModelConfig config)
    {
        ConfigurationReader.RefusePartialRotary(config);
        var common = ConfigurationReader.FromJson(config, ConfigurationReader.Defaults with { KeyValueHeadCount = 8, ContextLength = 131_072 });
        return ConfigurationReader.Checked(common with { Windows = ConfigurationReader.Windows(config, common.LayerCount, _ => true) }, config.Location);
    }
}
