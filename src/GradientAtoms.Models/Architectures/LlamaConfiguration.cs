namespace GradientAtoms.Models.Architectures;

/// <summary>What a llama checkpoint's configuration says. Names are those of <c>config.json</c>.</summary>
public sealed record LlamaConfiguration
{
    /// <summary>Tokens of the vocabulary.</summary>
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

    /// <summary>Added to the mean square in the norms.</summary>
    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>The base of the rotary angles.</summary>
    public double RopeTheta { get; init; } = 10_000;

    /// <summary>How the rotary frequencies are scaled for long contexts, or null.</summary>
    public RopeScaling? RopeScaling { get; init; }

    /// <summary>The longest context that the model was made for.</summary>
    public int ContextLength { get; init; } = 2048;

    /// <summary>Whether the head is the embedding.</summary>
    public bool TiedEmbeddings { get; init; }

    /// <summary>Whether q, k, v and o have biases.</summary>
    public bool AttentionBias { get; init; }

    /// <summary>Whether gate, up and down have biases.</summary>
    public bool MlpBias { get; init; }
}

/// <summary>Scaling of rotary frequencies.</summary>
/// <param name="Kind"><c>linear</c>, <c>llama3</c> or <c>divisors</c>.</param>
/// <param name="Factor">By how much the context was stretched.</param>
public sealed record RopeScaling(string Kind, double Factor)
{
    /// <summary><c>llama3</c>: below this many turns in the original context a frequency is divided by the factor.</summary>
    public double LowFrequencyFactor { get; init; } = 1;

    /// <summary><c>llama3</c>: above this many turns a frequency is kept.</summary>
    public double HighFrequencyFactor { get; init; } = 4;

    /// <summary><c>llama3</c>: the context before stretching.</summary>
    public int OriginalContextLength { get; init; } = 8192;

    /// <summary><c>divisors</c>: what each frequency is divided by, <c>[head size / 2]</c>; so GGUF files store the scaling of Llama 3.</summary>
    public IReadOnlyList<double>? Divisors { get; init; }
}
