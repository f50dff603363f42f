using System.Diagnostics.CodeAnalysis;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>What the configurations of the gemmas have in common.</summary>
internal record GemmaConfiguration : DecoderConfiguration
{
    /// <summary>Adds to what all decoders say.</summary>
    [SetsRequiredMembers]
    public GemmaConfiguration(DecoderConfiguration common)
        : base(common)
    {
    }

    /// <summary>Products of queries and keys are divided by its root.</summary>
    public double QueryScalar { get; init; } = 256;

    /// <summary>c of c·tanh(x / c) on the products of queries and keys, or null.</summary>
    public double? AttentionSoftCap { get; init; }

    /// <summary>The same on the logits.</summary>
    public double? FinalSoftCap { get; init; }
}

/// <summary>What the gemmas have in common: norms of 1 + w before and after attention and MLP, soft caps, a scale of attention, scaled embeddings.</summary>
internal abstract class GemmaModel : GatedDecoder
{
    /// <summary>Takes the weights.</summary>
    /// <param name="configuration">The sizes, caps and scales.</param>
    /// <param name="weight">Gives a weight by its checkpoint name as a float32 tensor of the stated shape, which the model then owns.</param>
    /// <param name="norms">The norms of queries and keys.</param>
    /// <param name="rotary">The rotary positions of a block.</param>
    protected GemmaModel(GemmaConfiguration configuration, Func<string, long[], Tensor> weight, QueryKeyNorms norms, Func<int, RotaryEmbedding> rotary)
        : base(configuration, weight, new()
        {
            QueryKeyValueBias = configuration.AttentionBias,
            OutputBias = configuration.AttentionBias,
            Norms = NormPlaces.Around,
            NormOffset = 1,
            QueryKeyNorms = norms,
            Heads = layer => configuration.Heads(layer, rotary(layer)) with { Scale = 1 / Math.Sqrt(configuration.QueryScalar), SoftCap = configuration.AttentionSoftCap },
        })
    {
        LogitSoftCap = configuration.FinalSoftCap;
    }

    // The embedding is also the head; as an input it has the size of √h.
    /// <inheritdoc/>
    protected sealed override Tensor Embed(Tensor tokens, ForwardPass pass) => base.Embed(tokens, pass) * (float)Math.Sqrt(HiddenSize);
}
