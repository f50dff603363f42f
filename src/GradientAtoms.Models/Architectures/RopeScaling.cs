namespace GradientAtoms.Models.Architectures;

/// <summary>Scaling of rotary frequencies for contexts longer than those of pre-training.</summary>
/// <param name="Kind">Which formula.</param>
/// <param name="Factor">By how much the context was stretched.</param>
internal sealed record RopeScaling(RopeScalingKind Kind, double Factor)
{
    /// <summary>llama3: below this many turns in the original context a frequency is divided by the factor.</summary>
    public double LowFrequencyFactor { get; init; } = 1;

    /// <summary>llama3: above this many turns a frequency is kept.</summary>
    public double HighFrequencyFactor { get; init; } = 4;

    /// <summary>llama3, dynamic, yarn, longrope: the context before stretching.</summary>
    public int OriginalContextLength { get; init; } = 8192;

    /// <summary>yarn: above this many turns in the original context a frequency is kept.</summary>
    public double BetaFast { get; init; } = 32;

    /// <summary>yarn: below this many turns a frequency is divided by the factor.</summary>
    public double BetaSlow { get; init; } = 1;

    /// <summary>yarn: whether the two bounds are rounded to whole coordinates.</summary>
    public bool Truncate { get; init; } = true;

    /// <summary>yarn, longrope: what cosines and sines are multiplied with.</summary>
    public double AttentionFactor { get; init; } = 1;

    /// <summary>divisors: what each frequency is divided by, <c>[rotated coordinates / 2]</c>; longrope: in documents no longer than the original context.</summary>
    public IReadOnlyList<double> Divisors { get; init; } = [];

    /// <summary>longrope: the same in longer documents.</summary>
    public IReadOnlyList<double> LongDivisors { get; init; } = [];

    /// <summary>Whether longer documents than the original context have frequencies of their own.</summary>
    public bool DependsOnLength => Kind is RopeScalingKind.Dynamic or RopeScalingKind.LongRope;
}

/// <summary>The formulas of <see cref="RopeScaling"/>.</summary>
internal enum RopeScalingKind
{
    /// <summary>Every frequency is divided by the factor.</summary>
    Linear,

    /// <summary>The base grows with the document once it is longer than the original context (NTK-aware).</summary>
    Dynamic,

    /// <summary>By wavelength, in three ranges: https://ai.meta.com/blog/meta-llama-3-1.</summary>
    Llama3,

    /// <summary>By turns, with a ramp, and warmer attention: https://arxiv.org/abs/2309.00071.</summary>
    Yarn,

    /// <summary>Each frequency by a number of its own: how GGUF files store the scaling of Llama 3.</summary>
    Divisors,

    /// <summary>Each frequency by a number of its own, of which long documents have others, and warmer attention: https://arxiv.org/abs/2402.13753.</summary>
    LongRope,
}
