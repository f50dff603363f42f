using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models;

/// <summary>What is known of a model before its weights are read.</summary>
/// <param name="Architecture">As <c>model_type</c> spells it.</param>
/// <param name="Weights">Every weight with its shape, in the order in which they are asked for.</param>
/// <param name="TiedEmbeddings">Whether the head is the embedding.</param>
/// <param name="ContextLength">The longest context that the model was made for.</param>
/// <param name="Build">Makes the model from a source of weights.</param>
internal sealed record ModelBlueprint(
    string Architecture,
    Func<IEnumerable<(string Name, long[] Shape)>> Weights,
    bool TiedEmbeddings,
    int ContextLength,
    Func<Func<string, long[], Tensor>, CausalLanguageModel> Build);

/// <summary>From the name of an architecture to its code.</summary>
internal static class ModelFactory
{
    private static readonly Dictionary<string, (Func<ModelConfig, ModelBlueprint> FromJson, Func<GgufFile, ModelBlueprint> FromGguf)> Known = new(StringComparer.Ordinal)
    {
        ["llama"] = (config => Llama(LlamaConfigurationReader.FromJson(config)), file => Llama(LlamaConfigurationReader.FromGguf(file))),
    };

    /// <exception cref="CheckpointException">GA2321 to GA2323.</exception>
    public static ModelBlueprint FromConfig(ModelConfig config) =>
        Find(config.String("model_type") ?? throw config.Missing("model_type"), config.Location).FromJson(config);

    /// <exception cref="CheckpointException">GA2321 to GA2323.</exception>
    public static ModelBlueprint FromGguf(GgufFile file) =>
        Find(file.String("general.architecture") ?? throw new CheckpointException("GA2321", file.Path, "lacks metadata general.architecture", "The file is incomplete: convert the model again."), file.Path).FromGguf(file);

    private static (Func<ModelConfig, ModelBlueprint> FromJson, Func<GgufFile, ModelBlueprint> FromGguf) Find(string architecture, string location) =>
        Known.TryGetValue(architecture, out var known)
            ? known
            : throw new CheckpointException("GA2322", location, $"is of architecture {architecture}, which is not known", $"Known architectures: {string.Join(", ", Known.Keys)}.");

    private static ModelBlueprint Llama(LlamaConfiguration configuration) => new(
        "llama", () => LlamaModel.Weights(configuration), configuration.TiedEmbeddings, configuration.ContextLength, weight => new LlamaModel(configuration, weight));
}
