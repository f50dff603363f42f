namespace GradientAtoms.Models.Architectures;

/// <summary>What the configurations of all decoders say. Names are those of <c>config.json</c>.</summary>
internal record DecoderConfiguration
{
    /// <summary>Tokens of the vocabulary, V.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>Size of a hidden state, h.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Size of the MLP's middle.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Decoder blocks.</summary>
    public required int LayerCount { get; init; }

    /// <summary>Query heads.</summary>
    public required int HeadCount { get; init; }

    /// <summary>Key and value heads; divides <see cref="HeadCount"/>.</summary>
    public required int KeyValueHeadCount { get; init; }

    /// <summary>Size of a head; not always h / heads.</summary>
    public required int HeadSize { get; init; }

    /// <summary>Added to the variance or mean square in the norms.</summary>
    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>The base of the rotary angles.</summary>
    public double RopeTheta { get; init; } = 10_000;

    /// <summary>How the rotary frequencies are scaled for long contexts, or null.</summary>
    public RopeScaling? RopeScaling { get; init; }

    /// <summary>How many coordinates of a head are turned by position, where that is not all.</summary>
    public int? RotarySize { get; init; }

    /// <summary>The longest context that the model was made for.</summary>
    public int ContextLength { get; init; } = 2048;

    /// <summary>Whether the head is the embedding.</summary>
    public bool TiedEmbeddings { get; init; }

    /// <summary>Whether the attention's projections have biases.</summary>
    public bool AttentionBias { get; init; }

    /// <summary>Whether the MLP's have, in families where that is not fixed.</summary>
    public bool MlpBias { get; init; }

    /// <summary>The MLP's function.</summary>
    public Activation Activation { get; init; } = Activation.Silu;

    /// <summary>Of each block, how many tokens a query sees, itself among them; null: all before it. Empty: all blocks see all.</summary>
    public IReadOnlyList<int?> Windows { get; init; } = [];

    /// <summary>The window of a block, or null.</summary>
    public int? WindowOf(int layer) => Windows.Count == 0 ? null : Windows[layer];

    /// <summary>The rotary positions that this describes.</summary>
    public RotaryEmbedding Rotary() => new(RotarySize ?? HeadSize, RopeTheta, RopeScaling);

    /// <summary>The attention of a block: 1/√(head size), these heads, this block's window.</summary>
    public AttentionHeads Heads(int layer, RotaryEmbedding? rotary) => new(HeadCount, KeyValueHeadCount, HeadSize) { Rotary = rotary, Window = WindowOf(layer) };
}
