using System.Text.Json;
using System.Text.Json.Nodes;
using GradientAtoms.Models;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Support;

/// <summary>Small Hugging Face folders of our own making, so that tests of loading need no fixtures.</summary>
internal static class ModelFolders
{
    /// <summary>Writes a random llama as a folder.</summary>
    /// <param name="folder">Exists.</param>
    /// <param name="change">Changes the configuration's JSON.</param>
    /// <param name="weights">Changes the tensors.</param>
    public static void WriteLlama(string folder, Action<JsonObject>? change = null, Action<Dictionary<string, Tensor>>? weights = null)
    {
        using var scope = NewDisposeScope();
        var c = Some.TinyLlama();
        var config = Config(c);
        change?.Invoke(config);
        File.WriteAllText(Path.Combine(folder, "config.json"), config.ToJsonString());
        var generator = new Generator(7);
        var outline = WeightReader.Outline(new("llama", c, weight => new LlamaModel(c, weight)) { Changed = _ => throw new NotSupportedException() });
        var tensors = outline.Weights.ToDictionary(weight => weight.Name, weight => randn(weight.Shape, generator: generator) * 0.2, StringComparer.Ordinal);
        weights?.Invoke(tensors);
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), tensors.Select(item => (item.Key, item.Value)));
    }

    public static JsonObject Config(DecoderConfiguration c) => JsonSerializer.SerializeToNode(new Dictionary<string, object>(StringComparer.Ordinal)
    {
        ["model_type"] = "llama",
        ["vocab_size"] = c.VocabularySize,
        ["hidden_size"] = c.HiddenSize,
        ["intermediate_size"] = c.IntermediateSize,
        ["num_hidden_layers"] = c.LayerCount,
        ["num_attention_heads"] = c.HeadCount,
        ["num_key_value_heads"] = c.KeyValueHeadCount,
        ["rms_norm_eps"] = c.NormEpsilon,
        ["max_position_embeddings"] = c.ContextLength,
        ["tie_word_embeddings"] = c.TiedEmbeddings,
        ["eos_token_id"] = 2,
    })!.AsObject();
}
