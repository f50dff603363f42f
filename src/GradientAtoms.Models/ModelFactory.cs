using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models;

/// <summary>What is known of a model before its weights are read.</summary>
/// <param name="Architecture">As <c>model_type</c> spells it.</param>
/// <param name="Configuration">Its sizes.</param>
/// <param name="Build">Makes the model from a source of weights, which it asks for one by one.</param>
internal sealed record ModelBlueprint(string Architecture, DecoderConfiguration Configuration, Func<Func<string, long[], Tensor>, CausalLanguageModel> Build)
{
    /// <summary>The head's name where it has a weight of its own.</summary>
    public string Head => Architecture == "gpt_neox" ? "embed_out.weight" : "lm_head.weight";

    /// <summary>The same model with another configuration, of the same type.</summary>
    public required Func<Func<DecoderConfiguration, DecoderConfiguration>, ModelBlueprint> Changed { get; init; }

    /// <summary>Whether the model is the text part of one that also reads something else.</summary>
    public bool IsPart { get; init; }
}

/// <summary>From the name of an architecture to its code.</summary>
internal static class ModelFactory
{
    private static readonly Dictionary<string, Func<ModelConfig, ModelBlueprint>> Json = new(StringComparer.Ordinal)
    {
        ["llama"] = config => Of("llama", LlamaModel.Read(config), (c, weight) => new LlamaModel(c, weight)),
        ["mistral"] = config => Of("mistral", MistralModel.Read(config), (c, weight) => new MistralModel(c, weight)),
        ["qwen2"] = config => Of("qwen2", Qwen2Model.Read(config), (c, weight) => new Qwen2Model(c, weight)),
        ["qwen3"] = config => Of("qwen3", Qwen3Model.Read(config), (c, weight) => new Qwen3Model(c, weight)),
        ["gemma2"] = config => Of("gemma2", Gemma2Model.Read(config), (c, weight) => new Gemma2Model(c, weight)),
        ["gemma3_text"] = config => Of("gemma3_text", Gemma3Model.Read(config), (c, weight) => new Gemma3Model(c, weight)),
        ["phi3"] = config => Of("phi3", Phi3Configuration.FromJson(config), (c, weight) => new Phi3Model(c, weight)),
        ["gpt2"] = config => Of("gpt2", Gpt2Configuration.FromJson(config), (c, weight) => new Gpt2Model(c, weight)),
        ["gpt_neox"] = config => Of("gpt_neox", GptNeoxConfiguration.FromJson(config), (c, weight) => new GptNeoxModel(c, weight)),
        ["olmo2"] = config => Of("olmo2", Olmo2Model.Read(config), (c, weight) => new Olmo2Model(c, weight)),
    };

    private static readonly Dictionary<string, Func<GgufMetadata, ModelBlueprint>> Gguf = new(StringComparer.Ordinal)
    {
        ["llama"] = metadata => Of("llama", LlamaModel.Read(metadata), (c, weight) => new LlamaModel(c, weight)),
        ["qwen2"] = metadata => Of("qwen2", Qwen2Model.Read(metadata), (c, weight) => new Qwen2Model(c, weight)),
        ["qwen3"] = metadata => Of("qwen3", Qwen3Model.Read(metadata), (c, weight) => new Qwen3Model(c, weight)),
        ["gemma2"] = metadata => Of("gemma2", Gemma2Model.Read(metadata), (c, weight) => new Gemma2Model(c, weight)),
        ["gemma3"] = metadata => Of("gemma3_text", Gemma3Model.Read(metadata), (c, weight) => new Gemma3Model(c, weight)),
        ["phi3"] = metadata => Of("phi3", Phi3Configuration.FromGguf(metadata), (c, weight) => new Phi3Model(c, weight)),
        ["gpt2"] = metadata => Of("gpt2", Gpt2Configuration.FromGguf(metadata), (c, weight) => new Gpt2Model(c, weight)),
        ["gptneox"] = metadata => Of("gpt_neox", GptNeoxConfiguration.FromGguf(metadata), (c, weight) => new GptNeoxModel(c, weight)),
        ["olmo2"] = metadata => Of("olmo2", Olmo2Model.Read(metadata), (c, weight) => new Olmo2Model(c, weight)),
    };

    /// <exception cref="CheckpointException">GA2321 to GA2323.</exception>
    public static ModelBlueprint FromConfig(ModelConfig config)
    {
        var architecture = config.String("model_type") ?? throw config.Missing("model_type");
        if (!Json.ContainsKey(architecture) && config.Part("text_config", "tie_word_embeddings", "quantization_config") is { } text
            && (text.String("model_type") ?? throw text.Missing("model_type")) is var textArchitecture && Json.TryGetValue(textArchitecture, out var ofText))
        {
            return ofText(text) with { IsPart = true };
        }

        return Json.TryGetValue(architecture, out var known) ? known(config) : throw Unknown(architecture, config.Location, Json.Keys);
    }

    /// <exception cref="CheckpointException">GA2321 to GA2323.</exception>
    public static ModelBlueprint FromGguf(GgufFile file)
    {
        var architecture = file.String("general.architecture")
            ?? throw new CheckpointException("GA2321", file.Path, "lacks metadata general.architecture", "The file is incomplete: convert the model again.");
        return Gguf.TryGetValue(architecture, out var known) ? known(new(file, architecture)) : throw Unknown(architecture, file.Path, Gguf.Keys);
    }

    private static CheckpointException Unknown(string architecture, string location, IEnumerable<string> known) =>
        new("GA2322", location, $"is of architecture {architecture}, which is not known", $"Known architectures: {string.Join(", ", known)}.");

    private static ModelBlueprint Of<T>(string architecture, T configuration, Func<T, Func<string, long[], Tensor>, CausalLanguageModel> build)
        where T : DecoderConfiguration => new(architecture, configuration, weight => build(configuration, weight))
        {
            Changed = change => Of(architecture, (T)change(configuration), build),
        };
}
