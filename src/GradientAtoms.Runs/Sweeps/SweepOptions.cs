using GradientAtoms.Steering;

namespace GradientAtoms.Runs.Sweeps;

/// <summary>What is swept.</summary>
public sealed record SweepOptions
{
    /// <summary>Poles; an atom's id means both of its poles.</summary>
    public IReadOnlyList<string> Poles { get; init; } = [];

    /// <summary>The folder below <c>sweep/</c> of the run; null: named after the poles.</summary>
    public string? Name { get; init; }

    /// <summary>Strengths, nats a token; each is taken in both directions.</summary>
    public IReadOnlyList<double> Kls { get; init; } = [0.05, 0.1, 0.2, 0.5];

    /// <summary>A file of questions: lines of text, or JSON Lines with <c>prompt</c>, and <c>id</c> and <c>group</c> (<c>on</c> or <c>off</c>) where wanted, and <c>pole</c> where it is for one pole only. Null: the prompts of the pole's own documents.</summary>
    public string? Questions { get; init; }

    /// <summary>Questions of each group at most, where they come from documents.</summary>
    public int Count { get; init; } = 40;

    /// <summary>Prompts of documents that are longer than this many tokens are passed over.</summary>
    public int MaxPromptTokens { get; init; } = 256;

    /// <summary>Detectors as <see cref="Evaluation.Sweeps.Detectors.Parse"/> reads them; empty: the built-in one that tells the pole's documents best.</summary>
    public IReadOnlyList<string> Detectors { get; init; } = [];

    /// <summary>A JSON file of detectors of one's own; null: none.</summary>
    public string? DetectorFile { get; init; }

    /// <summary>A chat model that is asked a question of every answer; it comes before the detectors, which are counted beside it. Null: none.</summary>
    public JudgeOptions? Judge { get; init; }

    /// <summary>Random directions, as controls: each is taken as far as the step of more came to move neutral documents, at each strength.</summary>
    public int Random { get; init; } = 1;

    /// <summary>Whether the atom projected out of the adapter is an arm too.</summary>
    public bool Remove { get; init; }

    /// <summary>Whether questions are answered.</summary>
    public bool Answers { get; init; } = true;

    /// <summary>Whether the likelihood of documents is measured too: of the pole's own, and of others.</summary>
    public bool Likelihood { get; init; }

    /// <summary>Length of an answer.</summary>
    public int MaxNewTokens { get; init; } = 64;

    /// <summary>0 is greedy.</summary>
    public double Temperature { get; init; }

    /// <summary>Of the sampling, the controls and the choice of off-target prompts.</summary>
    public long Seed { get; init; }

    /// <summary>How directions are made.</summary>
    public StepMode Mode { get; init; } = StepMode.Data;

    /// <summary>As <see cref="Steps.PoleStepOptions.TargetCap"/>.</summary>
    public double TargetCap { get; init; } = 1;

    /// <summary>A file of neutral chats or texts; null: the run's, else the built-in ones.</summary>
    public string? Neutral { get; init; }
}
