using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>The olmo2 decoder: norms after attention and MLP, not before; norms over the whole of queries and keys.</summary>
/// <param name="configuration">The sizes, and whether attention has biases.</param>
/// <param name="weight">Gives a weight by its checkpoint name as a float32 tensor of the stated shape, which the model then owns.</param>
internal sealed class Olmo2Model(DecoderConfiguration configuration, Func<string, long[], Tensor> weight) : GatedDecoder(configuration, weight, new()
{
    QueryKeyValueBias = configuration.AttentionBias,
    OutputBias = configuration.AttentionBias,
    Norms = NormPlaces.After,
    QueryKeyNorms = QueryKeyNorms.WholeProjection,
})
{
    /// <inheritdoc/>
    public override string Architecture => "olmo2";

    /// <summary>From <c>config.json</c>.</summary>
    public static DecoderConfiguration Read(ModelConfig config)
    {
        ConfigurationReader.RefusePartialRotary(config);
        var common = ConfigurationReader.FromJson(config, ConfigurationReader.Defaults with { NormEpsilon = 1e-5 });
        return ConfigurationReader.Checked(common with { AttentionBias = config.Boolean("attention_bias") ?? false }, config.Location);
    }

    /// <summary>From GGUF metadata.</summary>
    public static DecoderConfiguration Read(GgufMetadata metadata)
    {
        var common = ConfigurationReader.FullRotary(ConfigurationReader.FromGguf(metadata), metadata);
        return ConfigurationReader.Checked(common with { AttentionBias = metadata.HasAttentionBias }, metadata.File.Path);
    }
}
