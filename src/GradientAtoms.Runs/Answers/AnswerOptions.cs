namespace GradientAtoms.Runs.Answers;

/// <summary>A step along a pole that an answer is to have.</summary>
/// <param name="Pole">The pole's id; an atom's id alone means its + pole.</param>
/// <param name="Kl">The KL a token, in nats, that the step is calibrated to, above 0.</param>
/// <param name="Less">Less of the pole instead of more.</param>
public sealed record Steer(string Pole, double Kl = 0.1, bool Less = false);

/// <summary>A step as it was taken.</summary>
/// <param name="Pole">The pole's id.</param>
/// <param name="Kl">What was asked for.</param>
/// <param name="Less">Whether less of the pole was asked for.</param>
/// <param name="Step">Its size.</param>
/// <param name="MeasuredKl">The KL a neutral token at that size, of this step alone.</param>
public sealed record AppliedSteer(string Pole, double Kl, bool Less, double Step, double MeasuredKl);

/// <summary>What an engine serves, and how much at a time.</summary>
public sealed record AnswerEngineOptions
{
    /// <summary>The model, where it has moved since the audit; null: where it was.</summary>
    public string? Model { get; init; }

    /// <summary>Adapter folders served in place of the run's adapter, such as those of <c>gatoms export adapter</c>, by model id.</summary>
    public IReadOnlyDictionary<string, string> Adapters { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);

    /// <summary>Adapter folders served on top of the run's adapter, such as those of <c>gatoms export delta</c>, by model id.</summary>
    public IReadOnlyDictionary<string, string> Deltas { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);

    /// <summary>Steers with a name, calibrated at the start, by model id.</summary>
    public IReadOnlyDictionary<string, Steer> Steers { get; init; } = new Dictionary<string, Steer>(StringComparer.Ordinal);

    /// <summary>Answers that are generated at a time, a token each in turn.</summary>
    public int MaxConcurrent { get; init; } = 64;

    /// <summary>Requests that wait beyond those; more are refused.</summary>
    public int MaxWaiting { get; init; } = 64;

    /// <summary>New tokens of an answer at most, and where a request does not say.</summary>
    public int MaxNewTokens { get; init; } = 1024;

    /// <summary>Prompt tokens at most; null: what the model's context has room for.</summary>
    public int? MaxPromptTokens { get; init; }

    /// <summary>Tokens that all answers of the moment may have keys and values of, their prompts included; who finds no room waits.</summary>
    public int MaxCachedTokens { get; init; } = 1 << 17;

    /// <summary>The time that a request may take, waiting included.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Steered adapters kept for the next request.</summary>
    public int KeptSteers { get; init; } = 32;

    /// <summary>Processor threads of torch; null: all cores.</summary>
    public int? Threads { get; init; }
}

/// <summary>A question to an engine.</summary>
public sealed record Question
{
    /// <summary>The prompt as tokens.</summary>
    public required IReadOnlyList<int> Prompt { get; init; }

    /// <summary>A model id: <c>base</c>, <c>adapter</c>, a name of the engine's, or <c>POLE@KL</c>.</summary>
    public string Model { get; init; } = AnswerModels.Adapter;

    /// <summary>Steps for this answer, added up; on the adapter only.</summary>
    public IReadOnlyList<Steer> Steers { get; init; } = [];

    /// <summary>New tokens at most; null: as many as the engine allows.</summary>
    public int? MaxNewTokens { get; init; }

    /// <summary>0 is greedy.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>Sampling is from the likeliest tokens that have this probability together; 1 for all.</summary>
    public double TopP { get; init; } = 1;

    /// <summary>Sampling is from this many likeliest tokens; 0 for all.</summary>
    public int TopK { get; init; }

    /// <summary>Of the draws; null: another one every time.</summary>
    public ulong? Seed { get; init; }

    /// <summary>Texts that end the answer; they are not part of it.</summary>
    public IReadOnlyList<string> Stops { get; init; } = [];
}
