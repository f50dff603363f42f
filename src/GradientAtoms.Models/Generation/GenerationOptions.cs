namespace GradientAtoms.Models.Generation;

/// <summary>How an answer is generated.</summary>
public sealed record GenerationOptions
{
    /// <summary>Tokens at most.</summary>
    public int MaxNewTokens { get; init; } = 256;

    /// <summary>What the logits are divided by before sampling; 0 takes the likeliest token always.</summary>
    public double Temperature { get; init; }

    /// <summary>Sampling is from the likeliest tokens that have this probability together; 1 for all.</summary>
    public double TopP { get; init; } = 1;

    /// <summary>Sampling is from this many likeliest tokens; 0 for all.</summary>
    public int TopK { get; init; }

    /// <summary>Of the draws: the same seed gives the same tokens. Greedy answers need none.</summary>
    public ulong Seed { get; init; }

    /// <summary>Tokens that end the answer; the one that did is its last token.</summary>
    public IReadOnlyList<int> StopIds { get; init; } = [];

    /// <summary>Checks the ranges.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range.</exception>
    internal void Check()
    {
        ArgumentOutOfRangeException.ThrowIfNegative(MaxNewTokens);
        if (!double.IsFinite(Temperature) || Temperature < 0)
        {
            throw new ArgumentOutOfRangeException(nameof(Temperature), Temperature, "a temperature is at least 0");
        }

        if (!(TopP > 0 && TopP <= 1))
        {
            throw new ArgumentOutOfRangeException(nameof(TopP), TopP, "above 0 and at most 1");
        }

        ArgumentOutOfRangeException.ThrowIfNegative(TopK);
    }
}

/// <summary>Why a generation ended.</summary>
public enum StopReason
{
    /// <summary>A stop token.</summary>
    StopToken,

    /// <summary>The most tokens allowed.</summary>
    Length,

    /// <summary>The model's context is full.</summary>
    Context,
}

/// <summary>What was generated.</summary>
/// <param name="Tokens">The new tokens, the stop token included.</param>
/// <param name="Reason">Why it ended.</param>
public sealed record GeneratedTokens(IReadOnlyList<int> Tokens, StopReason Reason);
