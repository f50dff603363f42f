using GradientAtoms.DictionaryLearning;

namespace GradientAtoms.Evaluation;

/// <summary>How well a task is told by one pole.</summary>
/// <param name="Task">The task's label.</param>
/// <param name="Documents">Documents of the task.</param>
/// <param name="BestF1">The best F1 over the poles, a pole's documents taken as the prediction.</param>
/// <param name="Atom">Row of that pole's atom.</param>
/// <param name="Sign">1 or −1; 0 where there is no pole.</param>
public sealed record TaskScore(string Task, int Documents, double BestF1, int Atom, int Sign);

/// <summary>How labels are scored.</summary>
public sealed record LabelScoreOptions
{
    /// <summary>Tasks of fewer documents are not scored.</summary>
    public int MinimumTask { get; init; } = 8;

    /// <summary>Poles of fewer documents are no prediction.</summary>
    public int MinimumSupport { get; init; } = 4;

    /// <summary>Label permutations that chance is averaged over.</summary>
    public int Permutations { get; init; } = 10;

    /// <summary>Seed of the permutations.</summary>
    public required long Seed { get; init; }
}

/// <summary>Poles against labels that the method has not seen.</summary>
public sealed record LabelScores
{
    /// <summary>Tasks large enough, by name.</summary>
    public required IReadOnlyList<TaskScore> Tasks { get; init; }

    /// <summary>Tasks whose best F1 is at least .5.</summary>
    public required int TasksFound { get; init; }

    /// <summary>Mean over tasks of the best F1.</summary>
    public required double MeanBestF1 { get; init; }

    /// <summary>The same with permuted labels, mean of the permutations: poles are many, so chance is not 0.</summary>
    public required double MeanBestF1ByChance { get; init; }

    /// <summary>Adjusted mutual information (arithmetic) of task and the pole of the strongest code; documents without a code are a class of their own.</summary>
    public required double AdjustedMutualInformation { get; init; }

    /// <summary>Codes other than zero a document.</summary>
    public required double MeanNonzeros { get; init; }

    /// <summary>Scores codes against labels.</summary>
    /// <param name="codes"><c>[N, K]</c>.</param>
    /// <param name="labels"><c>[N]</c>.</param>
    /// <param name="options">What counts.</param>
    public static LabelScores Of(SparseCodes codes, IReadOnlyList<string> labels, LabelScoreOptions options)
        => throw new NotSupportedException("being built");
}
