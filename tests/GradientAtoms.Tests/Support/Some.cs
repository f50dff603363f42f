using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Support;

/// <summary>Valid samples of our nouns.</summary>
internal static class Some
{
    public static DecoderConfiguration TinyLlama(int vocabulary = 61, int layers = 2, int hidden = 24, int heads = 4, int keyValueHeads = 2) => new()
    {
        VocabularySize = vocabulary,
        HiddenSize = hidden,
        IntermediateSize = 40,
        LayerCount = layers,
        HeadCount = heads,
        KeyValueHeadCount = keyValueHeads,
        HeadSize = hidden / heads,
        TiedEmbeddings = true,
    };

    /// <summary>A llama with random weights, in the given dtype (float64 for finite differences).</summary>
    public static LlamaModel Llama(DecoderConfiguration? configuration = null, long seed = 1)
    {
        var generator = new Generator((ulong)seed);
        return new(configuration ?? TinyLlama(), (name, shape) =>
            name.Contains("norm", StringComparison.Ordinal) ? ones(shape) + (randn(shape, generator: generator) * 0.1) : randn(shape, generator: generator) * (2 / Math.Sqrt(shape[^1])));
    }

    /// <summary>A LoRA adapter with random, non-zero factors on modules whose names end so.</summary>
    public static LoraAdapter Adapter(CausalLanguageModel model, string[]? targets = null, int rank = 3, double scale = 2, long seed = 2)
    {
        var generator = new Generator((ulong)seed);
        targets ??= ["q_proj", "v_proj"];
        return new([.. model.LinearModules
            .Where(module => targets.Any(target => module.Name.EndsWith(target, StringComparison.Ordinal)))
            .Select(module => new LoraModule(
                module.Name,
                randn([rank, module.InputSize], generator: generator) * 0.3,
                randn([module.OutputSize, rank], generator: generator) * 0.3,
                scale))]);
    }

    /// <summary>A LoRA module of exact binary fractions, so that files of it have the same bytes on every machine.</summary>
    public static LoraModule ExactModule(LinearModule module, int rank, double scale, int salt)
    {
        return new(module.Name, Values(rank, module.InputSize, salt, 512), Values(module.OutputSize, rank, salt + 50, 256), scale);

        static Tensor Values(long rows, long columns, int salt, float divisor) =>
            tensor([.. Enumerable.Range(0, (int)(rows * columns)).Select(i => (((i + 1L) * (7919 + (2 * salt)) % 127) - 63) / divisor)], rows, columns);
    }
}
